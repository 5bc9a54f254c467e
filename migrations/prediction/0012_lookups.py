"""Add the versions of feature sets that deployments look rows up in.

Locks: none that block anything; the table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "deployment_lookups",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("features", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("pin", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "deployment", name=op.f("pk_deployment_lookups")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("deployment_lookups")
