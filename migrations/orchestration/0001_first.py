"""Create the tables of the orchestration role.

Locks: none that block anything; every table is new.
"""

import sqlalchemy as sa
from alembic import op

from migrations import children, correlations, initial_tables, retries

revision = "0001"
down_revision = None
_OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    """Apply this revision."""
    initial_tables.create_ledger()
    children.add_columns()
    retries.add_index()
    correlations.add_columns()
    _create_pipelines()
    _create_runs()


def _create_pipelines() -> None:
    op.create_table(
        "pipelines",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("last_version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("retired_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_pipelines")),
    )
    op.create_table(
        "pipeline_versions",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", initial_tables.JSON, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name=op.f("pk_pipeline_versions")),
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("pipeline", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", initial_tables.JSON, nullable=False),
        sa.Column("params", initial_tables.JSON, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=False),
        sa.Column("conducted_by", sa.String(64), nullable=False),
        sa.Column("cursor", sa.String(200)),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
        sa.Column("trouble", sa.String(500)),
        sa.Column("at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    story = ["tenant_id", "correlation_id"]
    op.create_index("ix_runs_story", "runs", story, postgresql_where=_OPEN, sqlite_where=_OPEN)
    op.create_index("ix_runs_open", "runs", ["conducted_by"], postgresql_where=_OPEN, sqlite_where=_OPEN)
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("step", sa.String(63), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("step_job_id", sa.String(64)),
        sa.Column("item", initial_tables.JSON),
        sa.Column("result", initial_tables.JSON),
        sa.Column("error", sa.Text),
        sa.Column("retryable", sa.Boolean, nullable=False),
        sa.Column("skip_cause", sa.String(16)),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("since", sa.BigInteger),
        sa.Column("submission", initial_tables.JSON),
        sa.PrimaryKeyConstraint("run_id", "step", "number", name=op.f("pk_run_steps")),
    )


def downgrade() -> None:
    """Revert this revision."""
    for table in ("run_steps", "runs", "pipeline_versions", "pipelines"):
        op.drop_table(table)
    initial_tables.drop_ledger()
