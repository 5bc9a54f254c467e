"""Keep intervals, comparisons, slices and verdicts.

Locks: none that matters; the new columns are nullable or have a constant default, so no row is written.
"""

import sqlalchemy as sa
from alembic import op

from migrations import parts

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go forward."""
    op.add_column("evaluations", sa.Column("intervals", parts.JSON, nullable=False, server_default="{}"))
    op.add_column("evaluations", sa.Column("comparison", parts.JSON))
    op.add_column("evaluations", sa.Column("slices", parts.JSON, nullable=False, server_default="[]"))
    op.add_column("evaluations", sa.Column("gate", parts.JSON))


def downgrade() -> None:
    """Go back; what these columns held is lost."""
    for name in ("gate", "slices", "comparison", "intervals"):
        op.drop_column("evaluations", name)
