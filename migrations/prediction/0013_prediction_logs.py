"""Add the files of deployments' logs, the batches that wait to be written to them, and what was lost.

Locks: none that block anything; the tables are new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "prediction_log_batches",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("bytes_waiting", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("queued_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_prediction_log_batches")),
    )
    op.create_index(
        "ix_prediction_log_batches_deployment", "prediction_log_batches", ["tenant_id", "deployment", "first_at"]
    )
    op.create_table(
        "prediction_log_files",
        sa.Column("id", sa.String(26), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("from_at", sa.BigInteger, nullable=False),
        sa.Column("until_at", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("versions", initial_tables.JSON, nullable=False),
        sa.Column("columns", initial_tables.JSON, nullable=False),
        sa.Column("first_revision", sa.Integer, nullable=False),
        sa.Column("last_revision", sa.Integer, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_log_files")),
    )
    op.create_index("ix_prediction_log_files_deployment", "prediction_log_files", ["tenant_id", "deployment", "id"])
    op.create_table(
        "prediction_log_losses",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "deployment", "started_at", "reason", name=op.f("pk_prediction_log_losses")
        ),
    )


def downgrade() -> None:
    """Revert this revision."""
    op.drop_table("prediction_log_losses")
    op.drop_table("prediction_log_files")
    op.drop_table("prediction_log_batches")
