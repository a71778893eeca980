"""The request log and the hourly sums that are made of records."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COUNTS = (
    "requests", "errors", "refused", "attempts", "fallbacks", "input", "output", "cache_read", "cache_write",
    "reasoning", "micros", "picos", "unpriced", "charged",
)  # fmt: skip
UNUSUAL = {
    "tenant": "tenant <> ''",
    "key": "key <> ''",
    "asked": "asked <> ''",
    "served": "served <> ''",
    "ended": "ended <> 'finished'",
    "status": "status <> 200",
    "code": "code <> ''",
    "end_user": "end_user <> ''",
}


def upgrade() -> None:
    _requests()
    _sums("usage_sums", ("tenant", "key", "model", "deployment"), COUNTS)
    _sums("usage_labels", ("tenant", "label"), COUNTS, ("kind",))
    _sums("waste", ("tenant", "deployment", "cause"), ("attempts", "micros", "picos", "unpriced"))


def _requests() -> None:
    is_embedded = op.get_bind().dialect.name == "sqlite"
    # A key of PostgreSQL's partitions would have to hold the time as well; a sequence numbers their rows.
    number = (
        sa.Column("number", sa.Integer, primary_key=True)
        if is_embedded
        else sa.Column("number", sa.BigInteger, nullable=False)
    )
    if not is_embedded:
        op.execute("CREATE SEQUENCE requests_number")
    op.create_table(
        "requests",
        number,
        sa.Column("at", sa.Double, nullable=False),
        *(_text(name) for name in ("id", "tenant", "key", "asked", "route", "served", "ended", "code", "end_user")),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(
            _whole(name)
            for name in ("input", "output", "cache_read", "cache_write", "reasoning", "charged", "overhead_us")
        ),
        sa.Column("cost", sa.Text),
        sa.Column("first_token", sa.Double),
        sa.Column("duration", sa.Double, nullable=False),
        _text("tags"),
        sa.Column("record", sa.LargeBinary, nullable=False),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("requests_by_time", "requests", ["at"])
    op.create_index("requests_by_id", "requests", ["id", "at"])
    for column, held in UNUSUAL.items():
        where = sa.text(held)
        op.create_index(f"requests_by_{column}", "requests", [column, "at"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "request_tags",
        sa.Column("tag", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (at)",
    )


def _sums(name: str, places: tuple[str, ...], counts: tuple[str, ...], first: tuple[str, ...] = ()) -> None:
    op.create_table(
        name,
        *(sa.Column(place, sa.Text, primary_key=True) for place in first),
        sa.Column("grain", sa.Integer, primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True),
        *(sa.Column(place, sa.Text, primary_key=True) for place in places),
        *(_whole(count) for count in counts),
        sqlite_with_rowid=False,
    )


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _whole(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)
