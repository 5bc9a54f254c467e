"""Let a model be without a target column, and keep what its validation shows in detail.

Locks: `model_versions` is locked for a moment on PostgreSQL, no row is rewritten; on SQLite it is copied.
"""

import sqlalchemy as sa
from alembic import op

from migrations import parts

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go forward."""
    with op.batch_alter_table("model_versions") as versions:
        versions.alter_column("target", existing_type=sa.Text, nullable=True)
        versions.add_column(sa.Column("details", parts.JSON))


def downgrade() -> None:
    """Go back; models without a target column keep an empty text there."""
    op.execute("UPDATE model_versions SET target = '' WHERE target IS NULL")
    with op.batch_alter_table("model_versions") as versions:
        versions.alter_column("target", existing_type=sa.Text, nullable=False)
        versions.drop_column("details")
