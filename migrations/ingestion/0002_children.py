"""Let jobs have children.

Locks: new columns are nullable or have a constant default, so no row is written; the two indexes are empty when they
are made, and take the time of one look at every job.
"""

from migrations import later

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward."""
    later.add_children()


def downgrade() -> None:
    """Go back."""
    later.drop_children()
