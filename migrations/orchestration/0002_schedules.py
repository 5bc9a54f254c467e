"""Keep schedules, and what became of their firings.

Locks: none; the tables are new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "schedules",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("document", initial_tables.JSON, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("decided_until", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("last_run", sa.String(64)),
    )
    fires = sa.text("next_at IS NOT NULL")
    op.create_index("ix_schedules_next", "schedules", ["next_at"], postgresql_where=fires, sqlite_where=fires)
    op.create_table(
        "schedule_firings",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("schedule", sa.String(63), primary_key=True),
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("run", sa.String(64)),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Revert this revision; schedules are lost."""
    op.drop_table("schedule_firings")
    op.drop_table("schedules")
