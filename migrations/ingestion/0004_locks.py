"""Let the loads of one dataset come one after another.

Locks: none that block anything; the table is new.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "dataset_locks",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_dataset_locks")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("dataset_locks")
