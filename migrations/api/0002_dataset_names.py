"""Write down which role a dataset's name belongs to.

Locks: none that matters; the table is new. Names that are in use already are written down when they are next asked
for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "dataset_names",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_dataset_names")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("dataset_names")
