"""Keep tags and a note of versions.

Locks: none that block anything; the new columns have constant defaults, so no row is written.
"""

from migrations import marks

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply this revision."""
    marks.add("dataset_versions", "dataset_tags")


def downgrade() -> None:
    """Revert this revision; all tags and notes are lost."""
    marks.remove("dataset_versions", "dataset_tags")
