"""Hourly sums of what was used and what was wasted: sums come in, sums of sums come out.

It must not know a record. A table's columns say what is summed (`COUNTS`, `WASTED`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Select, Table, and_, delete, func, select, tuple_

from fairlead.database.bulk import accumulate
from fairlead.database.tables import COUNTS, WASTED, usage_hours, usage_labels, waste

MOST = 1000
"""The most rows of a report."""
Sums = Mapping[tuple[Any, ...], Sequence[int]]
"""By the columns of a table's key, the hour first: what is added to its other columns."""
By = Literal["tenant", "key", "model", "deployment", "day", "tag", "user"]
LABELS = ("tag", "user")
DAY = 24


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Whose hours are wanted, from `since` up to but without `until`; hours count from the epoch."""

    since: int
    until: int
    tenant: str | None = None


class Group(msgspec.Struct, frozen=True):
    """What one name comes to: `sums` has every column of COUNTS or WASTED."""

    name: str
    sums: dict[str, int]


def add(connection: Connection, *, hours: Sums, labels: Sums, wasted: Sums) -> None:
    """Adds sums to what is there."""
    for table, sums in ((usage_hours, hours), (usage_labels, labels), (waste, wasted)):
        accumulate(connection, table, [(*place, *counts) for place, counts in sorted(sums.items())])


def report(connection: Connection, by: By, span: Span) -> list[Group]:
    """What each tenant, key and so on used, the dearest first, up to MOST."""
    if by in LABELS:
        query = _summed(usage_labels, usage_labels.c.label, COUNTS, span).where(usage_labels.c.kind == by)
    else:
        query = _summed(usage_hours, usage_hours.c.hour // DAY if by == "day" else usage_hours.c[by], COUNTS, span)
    return _groups(connection, query, COUNTS)


def total(connection: Connection, span: Span) -> dict[str, int]:
    """What everyone used."""
    columns = [func.coalesce(func.sum(usage_hours.c[count]), 0) for count in COUNTS]
    row = connection.execute(select(*columns).where(_within(usage_hours, span))).one()
    return dict(zip(COUNTS, map(int, row), strict=True))


def wasted(connection: Connection, span: Span) -> list[tuple[str, Group]]:
    """What was wasted, by cause and deployment, the dearest first."""
    columns = [func.sum(waste.c[count]).label(count) for count in WASTED]
    query = select(waste.c.cause, waste.c.deployment, *columns).where(_within(waste, span))
    query = query.group_by(waste.c.cause, waste.c.deployment).order_by(*_dearest(columns)).limit(MOST)
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


def _summed(table: Table, name: Any, counts: Sequence[str], span: Span) -> Select[Any]:
    columns = [func.sum(table.c[count]).label(count) for count in counts]
    query = select(name.label("name"), *columns).where(_within(table, span)).group_by(name)
    return query.order_by(*_dearest(columns), name).limit(MOST)


def _dearest(columns: Sequence[Any]) -> list[Any]:
    by_name = {column.name: column for column in columns}
    return [by_name["micros"].desc(), columns[0].desc()]


def _within(table: Table, span: Span) -> Any:
    hours = and_(table.c.hour >= span.since, table.c.hour < span.until)
    return hours if span.tenant is None else and_(hours, table.c.tenant == span.tenant)


def _groups(connection: Connection, query: Select[Any], counts: Sequence[str]) -> list[Group]:
    return [Group(str(row[0]), _ints(counts, row[1:])) for row in connection.execute(query)]


def _ints(counts: Sequence[str], values: Sequence[Any]) -> dict[str, int]:
    """PostgreSQL sums whole numbers to decimals."""
    return dict(zip(counts, map(int, values), strict=True))
