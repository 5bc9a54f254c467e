"""The table of jobs' log lines, which every role's database gets by a revision of its own."""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables


def create_table() -> None:
    """Make room for the lines of jobs."""
    op.create_table(
        "job_logs",
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("fields", initial_tables.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "number", name=op.f("pk_job_logs")),
    )


def drop_table() -> None:
    """Forget the lines of all jobs."""
    op.drop_table("job_logs")
