"""Note what was made of what, for what this role has made already too.

Locks: none that matters; the table is new, and the rows that fill it are only read.
"""

from migrations import lineage

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go forward."""
    lineage.create_edges()
    lineage.fill_from_versions("dataset_versions", "dataset")
    lineage.fill_from_versions("feature_versions", "features")


def downgrade() -> None:
    """Go back."""
    lineage.drop_edges()
