"""Audit entries that wait for the trail of a machine."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_outbox",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
    )
