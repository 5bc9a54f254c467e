"""Add what is published of feature sets for look-up, and the rows that were pushed since.

Locks: none that block anything; the tables are new.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "feature_publications",
        *_identity(),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("key_columns", initial_tables.JSON, nullable=False),
        sa.Column("columns", initial_tables.JSON, nullable=False),
        sa.Column("dataset", sa.String(127), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.Column("pushes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", "keyed_by", name=op.f("pk_feature_publications")),
    )
    op.create_table(
        "pushed_rows",
        *_identity(),
        sa.Column("key_hash", sa.String(32), nullable=False),
        sa.Column("values", initial_tables.JSON, nullable=False),
        sa.Column("push", sa.BigInteger, nullable=False),
        sa.Column("pushed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", "keyed_by", "key_hash", name=op.f("pk_pushed_rows")),
    )
    op.create_index("ix_pushed_rows_push", "pushed_rows", ["tenant_id", "name", "version", "keyed_by", "push"])


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("pushed_rows")
    op.drop_table("feature_publications")


def _identity() -> list[sa.Column[Any]]:
    return [
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("keyed_by", sa.String(64), nullable=False),
    ]
