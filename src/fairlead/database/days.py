"""The partitions of the request log in PostgreSQL: one a day, made when its first row comes, dropped as a whole.

It must not know rows. A partition's name is made of its day alone.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

DAY = 86_400
PARTITIONED = ("requests", "request_tags")
LOCK = 0x666C_6561_6432
"""The number of the advisory lock under which partitions are made and dropped."""

_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
_CHILDREN = text(
    "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'requests'::regclass"
)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def make(connection: Connection, days: Iterable[int]) -> None:
    """Sees to it that rows of these days, counted from the epoch, can be added."""
    missing = [day for day in sorted(days) if not _exists(connection, day)]
    if missing:
        _lock(connection)
    for day in missing:
        for table in PARTITIONED:
            connection.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {_name(table, day)} PARTITION OF {table} "
                    f"FOR VALUES FROM ({day * DAY}) TO ({(day + 1) * DAY})"
                )
            )


def drop(connection: Connection, before: float) -> int:
    """Drops every day that was over at `before`; how many those were."""
    names = sorted(str(name) for name in connection.execute(_CHILDREN).scalars())
    kept_from = _name("requests", int(before // DAY))
    old = [name for name in names if name < kept_from]
    if old:
        _lock(connection)
    for name in old:
        for table in PARTITIONED:
            connection.execute(text(f"DROP TABLE IF EXISTS {table}_{name.rpartition('_')[2]}"))
    return len(old)


def _exists(connection: Connection, day: int) -> bool:
    return bool(connection.execute(_EXISTS, {"name": _name("requests", day)}).scalar_one())


def _lock(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def _name(table: str, day: int) -> str:
    return f"{table}_{_START + timedelta(days=day):%Y%m%d}"
