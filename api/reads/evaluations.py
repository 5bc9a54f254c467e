"""Evaluations: one by its id, and pages of many, filtered and sorted."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from api.reads import criteria, shelves, sorted_lists
from shared import clock, database, errors
from shared.evaluation.tables import evaluation_metrics, evaluation_tags, evaluations
from shared.jobs import pages

_ROLE = "evaluation"
# Without details, which may be a mebibyte each; they are shown with a single evaluation only.
_SHOWN = (
    "id",
    "model",
    "dataset",
    "metrics",
    "positive",
    "undefined",
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
    "tags",
    "note",
)
_COLUMNS = tuple(evaluations.c[name] for name in (*_SHOWN, "created_at"))
SHELF = shelves.Shelf(
    table=evaluations,
    key=("id",),
    newest=("id",),
    tags=evaluation_tags,
    metrics=evaluation_metrics,
    groups=("model_name", "dataset_name"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter(criteria.Filter):
    """Which evaluations a list shows, and in which order; None means any."""

    model: criteria.Reference | None = None


def page(
    databases: database.Databases, tenant_id: str, chosen: Filter, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of evaluations, newest first or by a metric; raises InvalidRequestError for an unknown one."""
    after = shelves.unpack(cursor, chosen.sort, SHELF)
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        keys = sorted_lists.list_keys(connection, SHELF, _wanted(tenant_id, chosen), limit=limit, after=after)
        ids = [{"id": found.key[0]} for found in keys.found]
        shown = pages.read(connection, evaluations, ids, shown=_COLUMNS)
    return {
        "evaluations": [_describe(row) for row in shown.rows],
        "next_cursor": shelves.pack(keys.end_of(shown), chosen.sort),
    }


def _wanted(tenant_id: str, chosen: Filter) -> sorted_lists.Wanted:
    references = {"model": chosen.model, "dataset": chosen.dataset}
    conditions = [
        evaluations.c[field] == reference.label
        for field, reference in references.items()
        if reference is not None and reference.version is not None
    ]
    first, last = chosen.period.ulids()
    return sorted_lists.Wanted(
        tenant_id=tenant_id,
        groups={f"{field}_name": reference.name for field, reference in references.items() if reference is not None},
        conditions=[*conditions, *chosen.period.conditions(evaluations.c.created_at)],
        between=(first and f"{_ROLE}_{first}", last and f"{_ROLE}_{last}"),
        bounds=chosen.bounds,
        tag=chosen.tag,
        sort=chosen.sort,
    )


def show(databases: database.Databases, tenant_id: str, evaluation_id: str) -> dict[str, Any]:
    """Describe an evaluation with its details; raises NotFoundError."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        row = connection.execute(
            sa.select(evaluations).where(evaluations.c.id == evaluation_id, evaluations.c.tenant_id == tenant_id)
        ).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no evaluation {evaluation_id!r}.")
    return {**_describe(row), "details": row.details or {}, "baseline_details": row.baseline_details}


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in _SHOWN}
    return {**shown, "where": row.lineage.get("where"), "created_at": clock.to_text(row.created_at)}
