"""Keep the event log, and how far those who read it have come.

Locks: none; the tables are new. The exchange starts with what is logged from now on.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "events",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("correlation_id", sa.String(100), nullable=False),
        sa.Column("data", initial_tables.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("logged_at", sa.BigInteger, nullable=False),
    )
    op.create_index("uq_events_id", "events", ["id"], unique=True)
    for name, columns in {
        "ix_events_tenant": ["tenant_id", "position"],
        "ix_events_type": ["tenant_id", "type", "position"],
        "ix_events_subject": ["tenant_id", "subject", "position"],
        "ix_events_correlation": ["tenant_id", "correlation_id", "position"],
    }.items():
        op.create_index(name, "events", columns)
    heads = op.create_table(
        "event_heads",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(heads, [{"name": "log", "position": 0}, {"name": "pruned", "position": 0}])
    cursors = op.create_table(
        "event_cursors",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("leased_by", sa.String(100)),
        sa.Column("leased_until", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(cursors, [{"name": "exchange", "position": 0, "leased_until": 0}])


def downgrade() -> None:
    """Revert this revision; what is logged is lost, and what is not yet published with it."""
    op.drop_table("event_cursors")
    op.drop_table("event_heads")
    op.drop_table("events")
