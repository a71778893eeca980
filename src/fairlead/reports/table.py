"""A table in words, which a terminal and a page show alike. It must not know the width of either."""

import msgspec


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Cells in the order in which they are read."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    abouts: int = 1
    """How many of the first cells of a row say what it is about."""
    differing: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells that differ from the first run's."""
    ranked: bool = False
    """Rows of one kind, however many, of which the first say the most."""
    notes: list[str] = []
