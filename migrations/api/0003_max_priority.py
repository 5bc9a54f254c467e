"""Bound the priority that a key may ask for.

Locks: `keys` for a moment; the column is nullable, so no row is written. Keys without one may ask for any priority, and
so may all keys for an API of the release before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("keys", sa.Column("max_priority", sa.SmallInteger))


def downgrade() -> None:
    """Revert this revision; keys are no longer bounded."""
    op.drop_column("keys", "max_priority")
