"""Record which role a dataset's name belongs to.

Locks: none that block anything; the table is new. Names in use are recorded when a job next requests them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "dataset_names",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_dataset_names")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("dataset_names")
