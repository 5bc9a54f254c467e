"""Keep exports of models and removed aliases, and record what was made from what.

Locks: `model_alias_changes` is locked for a moment, to let a change have no version; building its index and the
one of `model_aliases` reads every row of these small tables.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables, lineage

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "model_exports",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("details", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", "format", name=op.f("pk_model_exports")),
    )
    with op.batch_alter_table("model_alias_changes") as changes:
        changes.alter_column("version", existing_type=sa.Integer, nullable=True)
    op.create_index("ix_model_alias_changes_alias", "model_alias_changes", ["tenant_id", "name", "alias", "id"])
    op.drop_index("ix_model_alias_changes_name", "model_alias_changes")
    op.create_index("ix_model_aliases_version", "model_aliases", ["tenant_id", "name", "version"])
    lineage.create_edges()
    lineage.fill_from_versions("model_versions", "model")


def downgrade() -> None:
    """Revert this revision; removals are lost, because the earlier table can't hold them."""
    lineage.drop_edges()
    op.drop_index("ix_model_aliases_version", "model_aliases")
    op.create_index("ix_model_alias_changes_name", "model_alias_changes", ["tenant_id", "name", "id"])
    op.drop_index("ix_model_alias_changes_alias", "model_alias_changes")
    op.execute("DELETE FROM model_alias_changes WHERE version IS NULL")
    with op.batch_alter_table("model_alias_changes") as changes:
        changes.alter_column("version", existing_type=sa.Integer, nullable=False)
    op.drop_table("model_exports")
