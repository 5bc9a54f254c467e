"""Let jobs have children.

Locks: new columns are nullable or have a constant default, so no row is written; the two partial indexes are empty at
first, but building each of them reads every job once.
"""

from migrations import children

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply this revision."""
    children.add_columns()


def downgrade() -> None:
    """Revert this revision."""
    children.drop_columns()
