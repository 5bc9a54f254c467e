"""Keep what jobs log.

Locks: none, since the table is new.
"""

from migrations import job_logs

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply this revision."""
    job_logs.create_table()


def downgrade() -> None:
    """Revert this revision."""
    job_logs.drop_table()
