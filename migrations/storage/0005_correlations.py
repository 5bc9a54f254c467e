"""Keep the correlation id of jobs and events.

Locks: `jobs` and `outbox` for a moment; the columns are nullable, so no row is written. Without one, a job's story is
its own.
"""

from migrations import correlations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this revision."""
    correlations.add_columns()


def downgrade() -> None:
    """Revert this revision."""
    correlations.drop_columns()
