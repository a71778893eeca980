"""The tables as this version wants them. `migrations` leads there; a test holds the two to each other.

Instants are Unix seconds. What has structure is JSON in a text column, read back as the type that it was.
"""

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from fairlead.canonical.limits import Limit


class Encoded(TypeDecorator[Any]):
    """A value of one type as JSON text."""

    impl = Text
    cache_ok = True

    def __init__(self, type: Any) -> None:  # noqa: A002 - msgspec's own word
        super().__init__()
        self.type_ = type

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else msgspec.json.decode(value, type=self.type_)


metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("uid", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
)
"""One row: which database this is, and the version of its newest change to a key."""

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("limits", Encoded(tuple[Limit, ...]), nullable=False),
    Column("models", Encoded(tuple[str, ...]), nullable=False),
    Column("routes", Encoded(tuple[str, ...]), nullable=False),
    Column("cidrs", Encoded(tuple[str, ...]), nullable=False),
    Column("tags", Encoded(tuple[tuple[str, str], ...]), nullable=False),
    Column("metadata", Encoded(dict[str, Any]), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("version", BigInteger, nullable=False),
    Index("keys_by_version", "version", unique=True),
    Index("keys_by_time", "created_at", "id"),
    Index("keys_by_tenant", "tenant", "created_at", "id"),
    Index("keys_by_name", "name", "created_at", "id"),
)

key_secrets = Table(
    "key_secrets",
    metadata,
    Column("mac", LargeBinary, primary_key=True),
    Column("key_id", Text, ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Double),
    Index("key_secrets_by_key", "key_id"),
)
"""What a key is known by. A rotated key has several for a while, all but the newest with an end."""

spend = Table(
    "spend",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("micros", BigInteger, nullable=False),
)
"""Millionths of a US dollar in an hour, counted from the epoch."""

journal_positions = Table(
    "journal_positions",
    metadata,
    Column("file", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""Up to where a journal file is in the tables that are made of records."""

audit_outbox = Table(
    "audit_outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("machine", Text, nullable=False),
    Column("entry", Text, nullable=False),
)
"""Audit entries that are not in a trail yet. `machine` is whose trail; empty: whichever comes first."""

COUNTS = (
    "requests", "errors", "refused", "attempts", "fallbacks",
    "input", "output", "cache_read", "cache_write", "reasoning",
    "micros", "picos", "unpriced", "charged",
)  # fmt: skip
"""What is summed by the hour. A cost is `micros` millionths of a dollar and `picos` millionths of those, each
summed apart: exact, and no sum outgrows 64 bits. `unpriced` requests used something whose price is not known;
`charged` is what budgets counted, in millionths of a dollar.
"""
WASTED = ("attempts", "micros", "picos", "unpriced")

USUAL = {
    "tenant": "", "key": "", "asked": "", "served": "", "ended": "finished", "status": 200, "code": "", "end_user": "",
}  # fmt: skip
"""The columns of `requests` that a list can be filtered by, each with the value that its index leaves out: most rows
have it, so that they are found as quickly by their time.
"""


def unusual(column: str) -> str:
    """What an index on `column` holds, as SQL; a query must say the same to be answered from it."""
    usual = USUAL[column]
    return f"{column} <> {usual if isinstance(usual, int) else repr(usual)}"


def _by(column: str) -> Index:
    held = text(unusual(column))
    return Index(f"requests_by_{column}", column, "at", sqlite_where=held, postgresql_where=held)


requests = Table(
    "requests",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Double, nullable=False),
    *(
        Column(name, Text, nullable=False)
        for name in ("id", "tenant", "key", "asked", "route", "served", "ended", "code", "end_user")
    ),
    Column("status", Integer, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("input", "output", "cache_read", "cache_write", "reasoning", "charged", "overhead_us")
    ),
    Column("cost", Text),
    Column("first_token", Double),
    Column("duration", Double, nullable=False),
    Column("tags", Encoded(tuple[tuple[str, str], ...]), nullable=False),
    Column("record", LargeBinary, nullable=False),
    Index("requests_by_time", "at"),
    Index("requests_by_id", "id", "at"),
    *(_by(column) for column in USUAL),
    postgresql_partition_by="RANGE (at)",
)
"""The request log: a row per record, which is whole in `record`. In PostgreSQL every day has a partition."""

request_tags = Table(
    "request_tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (at)",
)
"""Where `requests` has a tag (`name=value`)."""


def _sums(name: str, places: tuple[str, ...], counts: tuple[str, ...], first: tuple[str, ...] = ()) -> Table:
    return Table(
        name,
        metadata,
        *(Column(place, Text, primary_key=True) for place in first),
        Column("grain", Integer, primary_key=True),
        Column("hour", BigInteger, primary_key=True),
        *(Column(place, Text, primary_key=True) for place in places),
        *(Column(count, BigInteger, nullable=False) for count in counts),
        sqlite_with_rowid=False,
    )


usage_sums = _sums("usage_sums", ("tenant", "key", "model", "deployment"), COUNTS)
"""What was used in an hour, counted from the epoch, and again in the day that begins with an hour: `grain` is 1 or 24.
Long times are summed from days, and only their ends from hours.
"""

usage_labels = _sums("usage_labels", ("tenant", "label"), COUNTS, first=("kind",))
"""The same by what requests are labelled with: `kind` is `tag`, or `user`, which is summed by days alone."""

waste = _sums("waste", ("tenant", "deployment", "cause"), WASTED)
"""What was paid for and of no use, by its cause."""
