"""Sums of what was used and what was wasted, by the hour and the day: sums come in, sums of sums come out.

It must not know a record. A table's columns say what is summed (`COUNTS`, `WASTED`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Table, and_, delete, func, select, tuple_, union_all

from fairlead.database.bulk import accumulate
from fairlead.database.tables import COUNTS, WASTED, usage_labels, usage_sums, waste

MOST = 1000
"""The most rows of a report."""
Sums = Mapping[tuple[Any, ...], Sequence[int]]
"""By the columns of a table's key, in their order: what is added to its other columns."""
By = Literal["tenant", "key", "model", "deployment", "day", "tag", "user"]
LABELS = ("tag", "user")
DAY = 24


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Whose hours are wanted, from `since` up to but without `until`; hours count from the epoch."""

    since: int
    until: int
    tenant: str | None = None

    @property
    def whole_days(self) -> "Span":
        """The days in which it lies."""
        return msgspec.structs.replace(self, since=self.since // DAY * DAY, until=-(-self.until // DAY) * DAY)

    def slices(self) -> list[tuple[int, int, int]]:
        """What is to be summed: grain, first hour and the hour behind the last."""
        first, last = -(-self.since // DAY) * DAY, self.until // DAY * DAY
        if first >= last:
            return [(1, self.since, self.until)]
        ends = [(1, self.since, first), (1, last, self.until)]
        return [(DAY, first, last), *(end for end in ends if end[1] < end[2])]


class Group(msgspec.Struct, frozen=True):
    """What one name comes to: `sums` has every column of COUNTS or WASTED."""

    name: str
    sums: dict[str, int]


def add(connection: Connection, *, sums: Sums, labels: Sums, wasted: Sums) -> None:
    """Adds sums to what is there."""
    for table, of_table in ((usage_sums, sums), (usage_labels, labels), (waste, wasted)):
        accumulate(connection, table, ((*place, *counts) for place, counts in sorted(of_table.items())))


def report(connection: Connection, by: By, span: Span) -> list[Group]:
    """What each tenant, key and so on used, the dearest first, up to MOST. A user's is known by whole days."""
    if by in LABELS:
        rows = _within(usage_labels, span, usage_labels.c.kind == by)
        name = rows.c.label
    else:
        rows = _within(usage_sums, span)
        name = rows.c.hour // DAY if by == "day" else rows.c[by]
    columns = _sums(rows, COUNTS)
    query = select(name.label("name"), *columns.values()).group_by(name)
    found = connection.execute(query.order_by(*_dearest(columns), name).limit(MOST))
    return [Group(str(row[0]), _ints(COUNTS, row[1:])) for row in found]


def total(connection: Connection, span: Span) -> dict[str, int]:
    """What everyone used."""
    row = connection.execute(select(*_sums(_within(usage_sums, span), COUNTS).values())).one()
    return _ints(COUNTS, row)


def wasted(connection: Connection, span: Span) -> list[tuple[str, Group]]:
    """What was wasted, by cause and deployment, the dearest first."""
    rows = _within(waste, span)
    names, columns = (rows.c.cause, rows.c.deployment), _sums(rows, WASTED)
    query = select(*names, *columns.values()).group_by(*names).order_by(*_dearest(columns), *names).limit(MOST)
    return [(row[0], Group(row[1], _ints(WASTED, row[2:]))) for row in connection.execute(query)]


def prune(connection: Connection, before_hour: int, most: int) -> bool:
    """Drops up to `most` of the rows of users from before an hour; whether there are more.

    Clients make as many users as they like; of everything else there are few.
    """
    key = list(usage_labels.primary_key)
    old = and_(usage_labels.c.hour < before_hour, usage_labels.c.kind == "user")
    found = connection.execute(select(*key).where(old).order_by(*key).limit(most)).all()
    if found:
        connection.execute(delete(usage_labels).where(tuple_(*key).in_([tuple(row) for row in found])))
    return len(found) == most


def _within(table: Table, span: Span, *conditions: Any) -> Any:
    """The rows that make up the span."""
    if span.tenant is not None:
        conditions += (table.c.tenant == span.tenant,)
    parts = [
        select(table).where(table.c.grain == grain, table.c.hour >= first, table.c.hour < end, *conditions)
        for grain, first, end in span.slices()
    ]
    return (union_all(*parts) if len(parts) > 1 else parts[0]).subquery()


def _sums(rows: Any, counts: Sequence[str]) -> dict[str, Any]:
    return {count: func.sum(rows.c[count]) for count in counts}


def _dearest(columns: Mapping[str, Any]) -> tuple[Any, Any]:
    return columns["micros"].desc(), next(iter(columns.values())).desc()


def _ints(counts: Sequence[str], values: Sequence[Any]) -> dict[str, int]:
    """PostgreSQL sums whole numbers to decimals, and nothing to nothing."""
    return {count: int(value or 0) for count, value in zip(counts, values, strict=True)}
