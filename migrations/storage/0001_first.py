"""Create the tables of the storage role.

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
        "archive_keys",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_archive_keys")),
    )
    op.create_table(
        "archives",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("items", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archives")),
    )
    op.create_index("ix_archives_tenant", "archives", ["tenant_id", "id"])


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("archives")
    op.drop_table("archive_keys")
    initial_tables.drop_ledger()
