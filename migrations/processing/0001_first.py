"""Create the tables of the processing role.

Locks: none that block anything; every table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply this revision."""
    initial_tables.create_ledger()
    initial_tables.create_datasets()
    op.create_table(
        "feature_versions",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("recipe", initial_tables.JSON, nullable=False),
        sa.Column("columns", initial_tables.JSON, nullable=False),
        sa.Column("dataset", initial_tables.JSON, nullable=False),
        sa.Column("notes", initial_tables.JSON, nullable=False),
        sa.Column("lineage", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name=op.f("pk_feature_versions")),
    )
    op.create_table(
        "features",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_features")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("features")
    op.drop_table("feature_versions")
    initial_tables.drop_datasets()
    initial_tables.drop_ledger()
