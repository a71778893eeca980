"""Makes any value of a record one that both databases can hold, so that no record stops those behind it.

What is cut or bounded here is whole in the record itself.
"""

LONGEST = 128
"""Characters of a text that can be searched or summed by: four of them fit into a key of any index."""
MOST = 10**12
"""The most that a count of one record adds: a million of those fit into 64 bits."""
LAST_INSTANT = 1e11
"""Unix seconds in the year 5138."""


def text(value: str) -> str:
    """Without what PostgreSQL cannot store, and not longer than LONGEST."""
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"


def texts(values: tuple[str, ...]) -> tuple[str, ...]:
    """Each as `text` has it."""
    together = "".join(values)
    if together.isascii() and "\0" not in together and max(map(len, values)) <= LONGEST:
        return values
    return tuple([text(value) for value in values])


def count(value: int) -> int:
    return 0 if value < 0 else min(value, MOST)


def counts(values: tuple[int, ...]) -> tuple[int, ...]:
    """Each as `count` has it."""
    if min(values) >= 0 and max(values) <= MOST:
        return values
    return tuple([count(value) for value in values])


def seconds(value: float) -> float:
    """An instant or a duration; 0 for what is none."""
    return value if 0.0 <= value < LAST_INSTANT else 0.0
