"""Record what this role has made from what, for its existing rows too.

Locks: none that block anything; the table is new, and the rows that fill it are only read.
"""

from migrations import lineage

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply this revision."""
    lineage.create_edges()
    lineage.fill_from_versions("dataset_versions", "dataset")


def downgrade() -> None:
    """Revert this revision."""
    lineage.drop_edges()
