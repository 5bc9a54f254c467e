"""Tag jobs with the models and datasets that they name, so that they are listed by these.

Locks: none that block anything; all jobs are read once, some at a time, and rows are added for those that name any.
"""

from migrations import references

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply this revision."""
    references.add_tags()


def downgrade() -> None:
    """Revert this revision."""
    references.remove_tags()
