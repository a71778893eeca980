"""The ledger: what was spent by the hour, and up to where each journal is in it.

It must not know a journal's records or a budget: rows come in, sums come out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from fairlead.database.tables import journal_positions, spend

PAIRS = 200
"""Subjects that one statement asks for."""


class Spent(msgspec.Struct, frozen=True, order=True):
    """What a subject spent in an hour, counted from the epoch."""

    scope: str
    subject: str
    hour: int
    micros: int


class Advance(msgspec.Struct, frozen=True, order=True):
    """A journal file was read from `start` up to `end`."""

    file: str
    start: int
    end: int


class AlreadyReadError(Exception):
    """A journal is not where its reader thinks it is: someone else has read on. Nothing was added."""


def add(connection: Connection, rows: Iterable[Spent], advances: Iterable[Advance] = ()) -> None:
    """Adds `rows` and moves the journals on, both or neither, so that every record counts once.

    Raises AlreadyReadError; the transaction must then be given up.
    """
    _advance(connection, sorted(advances))
    if merged := _merged(rows):
        connection.execute(_upsert(connection), merged)


def positions(connection: Connection) -> dict[str, int]:
    """Up to where each journal file was read."""
    return {str(file): int(position) for file, position in connection.execute(select(journal_positions))}


def spent(connection: Connection, subjects: Iterable[tuple[str, str]], since_hour: int) -> list[Spent]:
    """What these (scope, subject) spent since an hour, that one included, in the order of time."""
    found: list[Spent] = []
    pair = tuple_(spend.c.scope, spend.c.subject)
    wanted = sorted(set(subjects))
    for start in range(0, len(wanted), PAIRS):
        query = select(spend).where(pair.in_(wanted[start : start + PAIRS]), spend.c.hour >= since_hour)
        found += [Spent(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda row: row.hour)


def _advance(connection: Connection, advances: Sequence[Advance]) -> None:
    if not advances:
        return
    table = journal_positions
    first = _insert(connection)(table).on_conflict_do_nothing(index_elements=[table.c.file])
    connection.execute(first, [{"file": one.file, "position": 0} for one in advances])
    moved = (
        update(table)
        .where(table.c.file == bindparam("name"), table.c.position == bindparam("start"))
        .values(position=bindparam("end"))
    )
    for one in advances:
        done = connection.execute(moved, {"name": one.file, "start": one.start, "end": one.end})
        if done.rowcount != 1:
            raise AlreadyReadError(f"the journal {one.file} was not at {one.start}")


def _merged(rows: Iterable[Spent]) -> list[dict[str, Any]]:
    """One row per subject and hour, always in one order: two writers never wait for each other in a ring."""
    sums: dict[tuple[str, str, int], int] = {}
    for row in rows:
        place = (row.scope, row.subject, row.hour)
        sums[place] = sums.get(place, 0) + row.micros
    return [
        {"scope": scope, "subject": subject, "hour": hour, "micros": micros}
        for (scope, subject, hour), micros in sorted(sums.items())
    ]


def _upsert(connection: Connection) -> Any:
    statement = _insert(connection)(spend)
    return statement.on_conflict_do_update(
        index_elements=[spend.c.scope, spend.c.subject, spend.c.hour],
        set_={"micros": spend.c.micros + statement.excluded.micros},
    )


def _insert(connection: Connection) -> Any:
    """`INSERT … ON CONFLICT` is no part of standard SQL: each database has its own spelling."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
