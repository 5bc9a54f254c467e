"""Keep from which archive an alias came.

Locks: `model_alias_changes` is locked for a moment, for a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go forward."""
    op.add_column("model_alias_changes", sa.Column("archive_sha256", sa.String(64)))


def downgrade() -> None:
    """Go back."""
    op.drop_column("model_alias_changes", "archive_sha256")
