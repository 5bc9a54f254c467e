"""Create the tables of the orchestration role.

Locks: none that block anything; every table is new.
"""

from migrations import children, correlations, initial_tables, retries

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply this revision."""
    initial_tables.create_ledger()
    children.add_columns()
    retries.add_index()
    correlations.add_columns()


def downgrade() -> None:
    """Revert this revision."""
    initial_tables.drop_ledger()
