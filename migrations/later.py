"""Changes that every role's database goes through alike, each one a revision of its own in each role."""

import sqlalchemy as sa
from alembic import op

from migrations import parts

_CHILD = "parent_id IS NOT NULL"
_UNFINISHED_CHILD = "parent_id IS NOT NULL AND state IN ('queued', 'running')"


def add_children() -> None:
    """Let jobs have children, rest between turns, and show what they have found so far."""
    op.add_column("jobs", sa.Column("parent_id", sa.String(64)))
    op.add_column("jobs", sa.Column("turns", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("wakes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("interim", parts.JSON))
    _index("ix_jobs_children", ["parent_id", "id"], where=_CHILD)
    _index("ix_jobs_unfinished_children", ["state"], where=_UNFINISHED_CHILD)


def drop_children() -> None:
    """Forget which jobs are children; what they have done stays."""
    op.drop_index("ix_jobs_unfinished_children", "jobs")
    op.drop_index("ix_jobs_children", "jobs")
    for name in ("interim", "wakes", "turns", "parent_id"):
        op.drop_column("jobs", name)


def _index(name: str, columns: list[str], *, where: str) -> None:
    op.create_index(name, "jobs", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
