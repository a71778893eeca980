"""The first tables: keys and their secrets, spend, journal positions, and the row that numbers changes."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(meta, [{"one": 1, "uid": uuid.uuid4().hex, "version": 0}])
    _keys()
    op.create_table(
        "spend",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("micros", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "journal_positions",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "tenant", "tier")),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("limits", "models", "routes", "cidrs", "tags", "metadata")
        ),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("keys_by_version", "keys", ["version"], unique=True)
    op.create_index("keys_by_time", "keys", ["created_at", "id"])
    op.create_index("keys_by_tenant", "keys", ["tenant", "created_at", "id"])
    op.create_index("keys_by_name", "keys", ["name", "created_at", "id"])
    op.create_table(
        "key_secrets",
        sa.Column("mac", sa.LargeBinary, primary_key=True),
        sa.Column("key_id", sa.Text, sa.ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
        sa.Column("expires_at", sa.Double),
    )
    op.create_index("key_secrets_by_key", "key_secrets", ["key_id"])
