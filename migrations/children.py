"""The columns that let jobs have children, which every role's database gets by a revision of its own."""

import sqlalchemy as sa
from alembic import op

from migrations import initial_tables

_CHILD = "parent_id IS NOT NULL"
_UNFINISHED_CHILD = "parent_id IS NOT NULL AND state IN ('queued', 'running')"


def add_columns() -> None:
    """Let jobs have children, rest between turns, and show interim results."""
    op.add_column("jobs", sa.Column("parent_id", sa.String(64)))
    op.add_column("jobs", sa.Column("turns", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("wakes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("interim", initial_tables.JSON))
    _index("ix_jobs_children", ["parent_id", "id"], where=_CHILD)
    _index("ix_jobs_unfinished_children", ["state"], where=_UNFINISHED_CHILD)


def drop_columns() -> None:
    """Remove which jobs are children of which; the jobs themselves stay."""
    op.drop_index("ix_jobs_unfinished_children", "jobs")
    op.drop_index("ix_jobs_children", "jobs")
    for name in ("interim", "wakes", "turns", "parent_id"):
        op.drop_column("jobs", name)


def _index(name: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, "jobs", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
