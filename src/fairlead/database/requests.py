"""The request log: a row per record, written in bulk, found again by its id, dropped by age.

It knows columns and records. It must not know who asks, nor what a row is shown as.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, func, select, text, tuple_

from fairlead.canonical.routing import RequestRecord
from fairlead.database import days, fit
from fairlead.database.bulk import append
from fairlead.database.tables import request_tags, requests

AT_ONCE = 2000
"""Rows that are brought into memory together where all of them are wanted."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(RequestRecord)
_JSON = msgspec.json.Encoder()
_NUMBERS = text("SELECT nextval('requests_number') FROM generate_series(1, :count)")


def add(connection: Connection, records: Sequence[RequestRecord]) -> None:
    """Adds a row for each record, in the order of time."""
    if not records:
        return
    ordered = sorted(records, key=lambda record: fit.seconds(record.at))
    numbered = list(zip(_numbers(connection, len(ordered)), ordered, strict=True))
    if connection.dialect.name == "postgresql":
        days.make(connection, {int(fit.seconds(record.at) // days.DAY) for record in ordered})
    append(connection, requests, (_row(number, record) for number, record in numbered))
    append(connection, request_tags, sorted({tag for number, record in numbered for tag in _tags(number, record)}))


def named(connection: Connection, id: str) -> tuple[RequestRecord, int] | None:  # noqa: A002
    """The newest record of this id, and how many others have it; clients may give one twice."""
    of_id = requests.c.id == fit.text(id)
    newest = select(requests.c.record).where(of_id).order_by(requests.c.at.desc(), requests.c.number.desc()).limit(1)
    found = connection.execute(newest).scalar_one_or_none()
    if found is None:
        return None
    count = connection.execute(select(func.count()).select_from(requests).where(of_id)).scalar_one()
    return _DECODER.decode(found), int(count) - 1


def each(connection: Connection, since: float, until: float, tenant: str | None = None) -> Iterator[RequestRecord]:
    """Every record from `since` up to but without `until`, in the order of time."""
    place = (requests.c.at, requests.c.number)
    wanted = and_(requests.c.at >= since, requests.c.at < until)
    if tenant is not None:
        wanted = and_(wanted, requests.c.tenant == fit.text(tenant))
    query = select(*place, requests.c.record).where(wanted).order_by(*place).limit(AT_ONCE)
    rows = connection.execute(query).all()
    while rows:
        for row in rows:
            yield _DECODER.decode(row.record)
        last = (rows[-1].at, rows[-1].number)
        rows = connection.execute(query.where(requests.c.at >= last[0], tuple_(*place) > last)).all()


def prune(connection: Connection, before: float, most: int) -> bool:
    """Drops rows from before an instant, the oldest first; whether there are more.

    In SQLite up to `most`, so that nobody waits long; in PostgreSQL the days that are over by then.
    """
    if connection.dialect.name == "postgresql":
        days.drop(connection, before)
        return False
    oldest = select(requests.c.number, requests.c.at, requests.c.tags).where(requests.c.at < before)
    rows = connection.execute(oldest.order_by(requests.c.at).limit(most)).all()
    if not rows:
        return False
    tags = [{"a": at, "n": number, "t": tag} for number, at, pairs in rows for tag in map(tag_of, pairs)]
    if tags:
        this = and_(*(request_tags.c[name] == bindparam(name[0]) for name in ("tag", "at", "number")))
        connection.execute(delete(request_tags).where(this), tags)
    connection.execute(delete(requests).where(requests.c.number == bindparam("n")), [{"n": row[0]} for row in rows])
    return len(rows) == most


def tag_of(pair: tuple[str, str]) -> str:
    """A tag as it is searched and summed by."""
    return fit.text(f"{pair[0]}={pair[1]}")


def _numbers(connection: Connection, count: int) -> Sequence[int]:
    """Numbers that no row has."""
    if connection.dialect.name == "postgresql":
        return connection.execute(_NUMBERS, {"count": count}).scalars().all()
    last = connection.execute(select(func.max(requests.c.number))).scalar_one() or 0
    return range(last + 1, last + 1 + count)


def _row(number: int, record: RequestRecord) -> tuple[Any, ...]:
    """The values of a row, in the order of the table's columns."""
    usage = record.usage
    tokens = (0, 0, 0, 0, 0)
    if usage is not None:
        tokens = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    names = (record.tenant, record.key, record.asked, record.route, record.served, record.ended, record.code)
    return (
        number,
        fit.seconds(record.at),
        *fit.texts((record.id, *names, record.user)),
        min(fit.count(record.status), 999),
        record.stream,
        len(record.attempts),
        *fit.counts((*tokens, record.charged, record.overhead_us)),
        None if record.cost is None else fit.text(record.cost),
        None if record.first_token is None else fit.seconds(record.first_token),
        fit.seconds(record.duration),
        _json(record.tags),
        _ENCODER.encode(record),
    )


def _json(tags: tuple[tuple[str, str], ...]) -> str:
    return _JSON.encode(tags).decode() if tags else "[]"


def _tags(number: int, record: RequestRecord) -> list[tuple[str, float, int]]:
    return [(tag_of(pair), fit.seconds(record.at), number) for pair in record.tags]
