"""Keep webhooks, and what is delivered to them.

Locks: none; the tables are new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this revision."""
    _create_webhooks()
    _create_deliveries()
    op.create_table(
        "webhook_keys",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("types", initial_tables.JSON, nullable=False),
        sa.Column("subject", sa.String(200)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("disabled_reason", sa.String(500)),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("earlier_salts", initial_tables.JSON, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("paused_until", sa.BigInteger, nullable=False),
        sa.Column("throttles", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
    )
    undeleted = sa.text("deleted_at IS NULL")
    op.create_index(
        "uq_webhooks_name",
        "webhooks",
        ["tenant_id", "name"],
        unique=True,
        postgresql_where=undeleted,
        sqlite_where=undeleted,
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("webhook_id", sa.String(26), nullable=False),
        sa.Column("event_id", sa.String(100), nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("payload", initial_tables.JSON),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("leases", sa.Integer, nullable=False),
        sa.Column("leased_until", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.String(300)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempted_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    table = "webhook_deliveries"
    op.create_index(f"uq_{table}_event", table, ["webhook_id", "event_id"], unique=True)
    op.create_index(f"ix_{table}_newest", table, ["webhook_id", "id"])
    op.create_index(f"ix_{table}_state", table, ["webhook_id", "state", "id"])
    for name, columns, condition in (
        ("due", ["webhook_id", "due_at"], "state = 'pending'"),
        ("leased", ["webhook_id", "leased_until"], "state = 'pending'"),
        ("ended", ["ended_at"], "ended_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(f"ix_{table}_{name}", table, columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    """Revert this revision; webhooks and what was delivered are lost."""
    op.drop_table("webhook_keys")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
