"""Keep intervals, comparisons, slices and verdicts.

Locks: none that block anything; the new columns are nullable or have a constant default, so no row is written.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("evaluations", sa.Column("intervals", initial_tables.JSON, nullable=False, server_default="{}"))
    op.add_column("evaluations", sa.Column("comparison", initial_tables.JSON))
    op.add_column("evaluations", sa.Column("slices", initial_tables.JSON, nullable=False, server_default="[]"))
    op.add_column("evaluations", sa.Column("gate", initial_tables.JSON))


def downgrade() -> None:
    """Revert this revision; what these columns held is lost."""
    for name in ("gate", "slices", "comparison", "intervals"):
        op.drop_column("evaluations", name)
