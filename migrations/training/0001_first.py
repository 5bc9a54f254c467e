"""Create the tables of the training role.

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
    op.create_table(
        "model_alias_changes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("alias", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_alias_changes")),
    )
    op.create_index("ix_model_alias_changes_name", "model_alias_changes", ["tenant_id", "name", "id"])
    op.create_table(
        "model_aliases",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("alias", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_by", sa.String(64), nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "alias", name=op.f("pk_model_aliases")),
    )
    op.create_table(
        "model_versions",
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
        sa.Column("problem", sa.String(32), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("estimator", initial_tables.JSON, nullable=False),
        sa.Column("recipe", initial_tables.JSON, nullable=False),
        sa.Column("metrics", initial_tables.JSON, nullable=False),
        sa.Column("signature", initial_tables.JSON, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("dropped_columns", initial_tables.JSON, nullable=False),
        sa.Column("warnings", initial_tables.JSON, nullable=False),
        sa.Column("notes", initial_tables.JSON, nullable=False),
        sa.Column("libraries", initial_tables.JSON, nullable=False),
        sa.Column("lineage", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "models",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_models")),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("models")
    op.drop_table("model_versions")
    op.drop_table("model_aliases")
    op.drop_table("model_alias_changes")
    initial_tables.drop_ledger()
