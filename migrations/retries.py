"""The index by which a job's retries are found, which every role's database gets by a revision of its own."""

import sqlalchemy as sa
from alembic import op

_RETRY = "retry_of IS NOT NULL"


def add_index() -> None:
    """Find the retries of a job."""
    op.create_index(
        "ix_jobs_retries", "jobs", ["retry_of"], postgresql_where=sa.text(_RETRY), sqlite_where=sa.text(_RETRY)
    )


def drop_index() -> None:
    """Find them by reading all jobs."""
    op.drop_index("ix_jobs_retries", "jobs")
