"""The ledger: what was spent by the hour.

It must not know a journal's records or a budget: rows come in, sums come out.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, and_, delete, select, tuple_

from fairlead.database.bulk import accumulate
from fairlead.database.tables import spend

PAIRS = 200
"""Subjects that one statement asks for."""


class Spent(msgspec.Struct, frozen=True, order=True):
    """What a subject spent in an hour, counted from the epoch."""

    scope: str
    subject: str
    hour: int
    micros: int


def add(connection: Connection, rows: Iterable[Spent]) -> None:
    """Adds `rows` to what is there."""
    accumulate(connection, spend, _merged(rows))


def spent(connection: Connection, subjects: Iterable[tuple[str, str]], since_hour: int) -> list[Spent]:
    """What these (scope, subject) spent since an hour, that one included, in the order of time."""
    found: list[Spent] = []
    pair = tuple_(spend.c.scope, spend.c.subject)
    wanted = sorted(set(subjects))
    for start in range(0, len(wanted), PAIRS):
        query = select(spend).where(pair.in_(wanted[start : start + PAIRS]), spend.c.hour >= since_hour)
        found += [Spent(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda row: row.hour)


def prune(connection: Connection, before_hour: int, most: int) -> bool:
    """Drops up to `most` rows of users and tags from before an hour, the oldest first; whether there are more.

    Clients make as many of those as they like; everything else there are few of.
    """
    key = (spend.c.scope, spend.c.subject, spend.c.hour)
    old = and_(spend.c.scope.in_(("user", "tag")), spend.c.hour < before_hour)
    found = connection.execute(select(*key).where(old).order_by(*key).limit(most)).all()
    if found:
        connection.execute(delete(spend).where(tuple_(*key).in_([tuple(row) for row in found])))
    return len(found) == most


def _merged(rows: Iterable[Spent]) -> list[tuple[str, str, int, int]]:
    """One row per subject and hour, always in one order: two writers never wait for each other in a ring."""
    sums: dict[tuple[str, str, int], int] = {}
    for row in rows:
        place = (row.scope, row.subject, row.hour)
        sums[place] = sums.get(place, 0) + row.micros
    return [(*place, micros) for place, micros in sorted(sums.items())]
