"""Add the snapshots of deployments to which jobs are pinned.

Locks: none that block anything; the table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "deployment_snapshots",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", initial_tables.JSON, nullable=False),
        sa.Column("pins", initial_tables.JSON, nullable=False),
        sa.Column("needs", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", "revision", name=op.f("pk_deployment_snapshots")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("deployment_snapshots")
