"""Keep tags and a note of versions.

Locks: none that block anything; the new columns have constant defaults, so no row is written.
"""

from migrations import marks

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply this revision."""
    marks.add("model_versions", "model_tags")


def downgrade() -> None:
    """Revert this revision; all tags and notes are lost."""
    marks.remove("model_versions", "model_tags")
