"""Record which archive an alias was imported from.

Locks: `model_alias_changes` is locked for a moment, to add a nullable column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("model_alias_changes", sa.Column("archive_sha256", sa.String(64)))


def downgrade() -> None:
    """Revert this revision."""
    op.drop_column("model_alias_changes", "archive_sha256")
