"""Keep the target of a feature set.

Locks: none that block anything; the new column is nullable, so no row is written. Feature sets of earlier releases have
their target in their artifact only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("feature_versions", sa.Column("target", sa.Text))


def downgrade() -> None:
    """Revert this revision; what this column held is lost."""
    op.drop_column("feature_versions", "target")
