"""Keep the curves and tables of an evaluation and of its baseline, and why metrics are undefined.

Locks: none that block anything; the new columns are nullable or have a constant default, so no row is written.
Evaluations made before have none of this.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("evaluations", sa.Column("undefined", initial_tables.JSON, nullable=False, server_default="{}"))
    op.add_column("evaluations", sa.Column("details", initial_tables.JSON))
    op.add_column("evaluations", sa.Column("baseline_details", initial_tables.JSON))


def downgrade() -> None:
    """Revert this revision; what these columns held is lost."""
    for name in ("baseline_details", "details", "undefined"):
        op.drop_column("evaluations", name)
