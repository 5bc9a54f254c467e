"""Index the retries of jobs, of which a job that is to be deleted must have none.

Locks: building the partial index reads every job once, and new jobs wait for it; the index itself is small.
"""

from migrations import retries

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply this revision."""
    retries.add_index()


def downgrade() -> None:
    """Revert this revision."""
    retries.drop_index()
