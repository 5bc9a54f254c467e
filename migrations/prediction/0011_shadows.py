"""Add the batches of requests that wait for shadows, and what shadows said.

Locks: none that block anything; the tables are new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "shadow_batches",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("shadows", initial_tables.JSON, nullable=False),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.Column("job_id", sa.String(64)),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shadow_batches")),
    )
    op.create_index("ix_shadow_batches_deployment", "shadow_batches", ["tenant_id", "deployment"])
    op.create_table(
        "shadow_sums",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("shadow", sa.Integer, nullable=False),
        sa.Column("model", sa.String(127), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("answered_by", sa.String(127), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("sums", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint(
            *("tenant_id", "deployment", "shadow", "model", "version", "answered_by", "started_at"),
            name=op.f("pk_shadow_sums"),
        ),
    )
    op.create_index("ix_shadow_sums_started_at", "shadow_sums", ["started_at"])


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("shadow_sums")
    op.drop_table("shadow_batches")
