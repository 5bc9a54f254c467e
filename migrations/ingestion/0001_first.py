"""Create the tables of the ingestion role.

Locks: none that block anything; every table is new.
"""

from migrations import initial_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply this revision."""
    initial_tables.create_ledger()
    initial_tables.create_datasets()


def downgrade() -> None:
    """Revert this revision."""
    initial_tables.drop_datasets()
    initial_tables.drop_ledger()
