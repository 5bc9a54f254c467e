"""Models: their versions, each with its aliases, and what a label means."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from api.reads import aliases, comparison, criteria, kept, named_versions, shelves, sorted_lists
from api.reads.kept import Place
from shared import database, errors, positive_class
from shared.catalog import kept_tables
from shared.jobs import pages
from shared.training.tables import model_metrics, model_tags, model_versions

TYPE = kept_tables.MODEL.type
_DETAILS = ("rows", "recipe", "signature", "dropped_columns", "warnings", "notes", "libraries", "lineage")
_SIGNATURE = ("problem", "classes", "positive")
"""What tells the positive class of a model's signature, of which lists read no more."""
_SHOWN_COLUMNS = (
    *named_versions.common_columns(model_versions),
    *(model_versions.c[name] for name in ("problem", "target", "estimator", "metrics")),
    *(model_versions.c.signature[name].label(f"signature_{name}") for name in _SIGNATURE),
)

_OF_ONE = shelves.Shelf(
    table=model_versions,
    key=("name", "version"),
    newest=("version",),
    tags=model_tags,
    metrics=model_metrics,
    groups=("name", "dataset_name"),
    is_listed=model_versions.c.deleted_at.is_(None),
)
_OF_ALL = dataclasses.replace(_OF_ONE, newest=("created_at", "name", "version"), groups=("dataset_name",))


def place() -> Place:
    """Look up where models are kept, which is in one role's database."""
    [place] = kept.places_of_type(TYPE)
    return place


def page(
    databases: database.Databases,
    tenant_id: str,
    name: str | None,
    chosen: criteria.Filter,
    *,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Read a page of the versions of a model, or of all models, each with its aliases, newest first or by a metric.

    Raises NotFoundError when there is no such model, InvalidRequestError for an unknown metric.
    """
    shelf = _OF_ALL if name is None else _OF_ONE
    after = shelves.unpack(cursor, chosen.sort, shelf)
    role = place().role
    with database.available(role), databases[role].statements.connect() as connection:
        keys = sorted_lists.list_keys(connection, shelf, _wanted(tenant_id, name, chosen), limit=limit, after=after)
        versions = [dict(zip(shelf.key, found.key, strict=True)) for found in keys.found]
        rows = [{"tenant_id": tenant_id, **version} for version in versions]
        shown = pages.read(connection, model_versions, rows, shown=_SHOWN_COLUMNS)
        labels = aliases.of_many(connection, tenant_id, [(row.name, row.version) for row in shown.rows])
    if name is not None and not shown.rows:
        require(databases, tenant_id, name)
    return {
        **({} if name is None else {"name": name}),
        "versions": [{**_describe(row), "aliases": labels.get((row.name, row.version), [])} for row in shown.rows],
        "next_cursor": shelves.pack(keys.end_of(shown), chosen.sort),
    }


def _wanted(tenant_id: str, name: str | None, chosen: criteria.Filter) -> sorted_lists.Wanted:
    dataset, period = chosen.dataset, chosen.period
    is_by_time = name is None and chosen.sort is None
    return sorted_lists.Wanted(
        tenant_id=tenant_id,
        groups={
            **({} if name is None else {"name": name}),
            **({} if dataset is None else {"dataset_name": dataset.name}),
        },
        conditions=[
            *([] if dataset is None or dataset.label is None else [model_versions.c.dataset_label == dataset.label]),
            *([] if is_by_time else period.conditions(model_versions.c.created_at)),
        ],
        between=(period.since, period.until) if is_by_time else (None, None),
        bounds=chosen.bounds,
        tag=chosen.tag,
        sort=chosen.sort,
    )


def find(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> sa.Row[Any]:
    """Read a version's row; raises NotFoundError when it isn't there."""
    return named_versions.find(databases, tenant_id, place(), name, version)


def show(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> dict[str, Any]:
    """Describe a version with its metrics, parameters, signature, lineage and library versions."""
    row = find(databases, tenant_id, name, version)
    document = {**_describe(row), **{field: getattr(row, field) for field in _DETAILS}, "details": row.details or {}}
    with database.available(place().role), databases[place().role].statements.connect() as connection:
        labels = aliases.of_many(connection, tenant_id, [(row.name, row.version)])
    return {**document, "aliases": labels.get((row.name, row.version), [])}


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        **named_versions.describe_common(row),
        "problem": row.problem,
        "target": row.target,
        "positive": _find_positive(row),
        "estimator": row.estimator,
        "metrics": row.metrics,
    }


def _find_positive(row: sa.Row[Any]) -> positive_class.Label | None:
    """Return the positive class of a whole row, or of one that was read for a list."""
    columns = row._mapping
    parts = {name: columns.get(f"signature_{name}") for name in _SIGNATURE}
    signature = columns.get("signature", {name: part for name, part in parts.items() if part is not None})
    return positive_class.of_signature({"problem": row.problem, **signature})


def require(databases: database.Databases, tenant_id: str, name: str) -> None:
    """Raise NotFoundError when there is no model with a name."""
    if _find_by_label(databases, tenant_id, name, "latest") is None:
        raise errors.NotFoundError(f"There is no model {name!r}.")


def compare(databases: database.Databases, tenant_id: str, name: str, labels: list[str]) -> dict[str, Any]:
    """Describe what differs between the versions that labels stand for; raises NotFoundError.

    InvalidRequestError when two labels stand for the same version.
    """
    rows = [_require_version(databases, tenant_id, name, label) for label in labels]
    numbers = [row.version for row in rows]
    if len(set(numbers)) < len(numbers):
        raise comparison.make_error(f"{','.join(labels)!r} names a version twice")
    return {"name": name, "versions": numbers, **comparison.compare(rows)}


def _require_version(databases: database.Databases, tenant_id: str, name: str, label: str) -> sa.Row[Any]:
    row = _find_by_label(databases, tenant_id, name, label)
    if row is None and label != "latest" and not label.isdecimal():
        raise errors.NotFoundError(f"{name!r} has no alias {label!r}.")
    if row is None:
        raise errors.NotFoundError(f"There is no {name}@{label} here.")
    return row


def _find_by_label(databases: database.Databases, tenant_id: str, name: str, label: str) -> sa.Row[Any] | None:
    with database.available(place().role), databases[place().role].statements.connect() as connection:
        return kept.find(connection, place(), tenant_id=tenant_id, name=name, label=label)
