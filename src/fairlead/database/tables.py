"""The tables as this version wants them. `migrations` leads there; a test holds the two to each other.

Instants are Unix seconds. What has structure is JSON in a text column, read back as the type that it was.
"""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text
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
"""Up to where a journal file is in `spend`."""

audit_outbox = Table(
    "audit_outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("machine", Text, nullable=False),
    Column("entry", Text, nullable=False),
)
"""Audit entries that are not in a trail yet. `machine` is whose trail; empty: whichever comes first."""
