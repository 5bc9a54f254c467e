"""Keep the class that an evaluation counted as positive.

Locks: none that block anything; the new column is nullable, so no row is written.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("evaluations", sa.Column("positive", initial_tables.JSON))


def downgrade() -> None:
    """Revert this revision; what this column held is lost."""
    op.drop_column("evaluations", "positive")
