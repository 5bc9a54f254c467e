"""Forget the exports that earlier releases made: some answer otherwise than their models, and none is checked again.

Whoever asks for one gets it made anew; a prune removes the old files. Locks: the rows of `model_exports`, for a moment.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply this revision."""
    op.execute("DELETE FROM model_exports")


def downgrade() -> None:
    """Revert this revision, which leaves nothing to do: exports are made anew by any release."""
