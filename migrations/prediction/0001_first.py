"""Make the tables of the prediction role.

Locks: none that matters; every table is new.
"""

from migrations import parts

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go forward."""
    parts.create_ledger()
    parts.create_datasets()


def downgrade() -> None:
    """Go back."""
    parts.drop_datasets()
    parts.drop_ledger()
