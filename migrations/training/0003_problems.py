"""Let a model have no target column, and keep the details of its validation.

Locks: `model_versions` is locked for a moment on PostgreSQL, no row is rewritten; on SQLite it is copied.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply this revision."""
    with op.batch_alter_table("model_versions") as versions:
        versions.alter_column("target", existing_type=sa.Text, nullable=True)
        versions.add_column(sa.Column("details", initial_tables.JSON))


def downgrade() -> None:
    """Revert this revision; models without a target column get an empty text."""
    op.execute("UPDATE model_versions SET target = '' WHERE target IS NULL")
    with op.batch_alter_table("model_versions") as versions:
        versions.alter_column("target", existing_type=sa.Text, nullable=False)
        versions.drop_column("details")
