"""Evaluations: one by its id, and pages of many, newest first."""

from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, database, errors
from shared.evaluation.tables import evaluations

_ROLE = "evaluation"
_ID = r"evaluation_[0-7][0-9A-HJKMNP-TV-Z]{25}"
_SHOWN = (
    "id",
    "model",
    "dataset",
    "metrics",
    "rows",
    "skipped_rows",
    "intervals",
    "comparison",
    "slices",
    "gate",
    "warnings",
    "lineage",
    "job_id",
    "created_by",
)


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of evaluations, newest first."""
    query = sa.select(evaluations).where(evaluations.c.tenant_id == tenant_id)
    before = cursors.unpack(cursor, pattern=_ID)
    if before is not None:
        query = query.where(evaluations.c.id < before)
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(evaluations.c.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return {
        "evaluations": [_describe(row) for row in shown],
        "next_cursor": cursors.pack(shown[-1].id) if len(rows) > limit else None,
    }


def show(databases: database.Databases, tenant_id: str, evaluation_id: str) -> dict[str, Any]:
    """Describe an evaluation; raises NotFoundError."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        row = connection.execute(
            sa.select(evaluations).where(evaluations.c.id == evaluation_id, evaluations.c.tenant_id == tenant_id)
        ).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no evaluation {evaluation_id!r}.")
    return _describe(row)


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {**{name: getattr(row, name) for name in _SHOWN}, "created_at": clock.to_text(row.created_at)}
