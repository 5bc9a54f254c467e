"""Models: their versions, each with its aliases, and what a label means."""

from typing import Any

import sqlalchemy as sa

from api.reads import aliases, comparison, kept, named_versions
from api.reads.kept import Place
from shared import database, errors
from shared.catalog import kept_tables

TYPE = kept_tables.MODEL.type
_DETAILS = ("rows", "recipe", "signature", "dropped_columns", "warnings", "notes", "libraries", "lineage")


def place() -> Place:
    """Look up where models are kept, which is in one role's database."""
    [place] = kept.places_of_type(TYPE)
    return place


def page(databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of a model's versions, newest first, each with its aliases."""
    aliases_by_version = aliases.of_page(databases, tenant_id, name, limit=limit, cursor=cursor)
    return named_versions.page(
        databases,
        tenant_id,
        place(),
        name,
        limit=limit,
        cursor=cursor,
        describe=lambda row: {**_describe(row), "aliases": aliases_by_version.get(row.version, [])},
    )


def find(databases: database.Databases, tenant_id: str, name: str, version: int) -> sa.Row[Any]:
    """Read a version's row; raises NotFoundError when it isn't there."""
    return named_versions.find(databases, tenant_id, place(), name, version)


def show(databases: database.Databases, tenant_id: str, name: str, version: int) -> dict[str, Any]:
    """Describe a version with its metrics, parameters, signature, lineage and library versions."""
    row = find(databases, tenant_id, name, version)
    document = {**_describe(row), **{field: getattr(row, field) for field in _DETAILS}, "details": row.details or {}}
    aliases_by_version = aliases.of_versions(databases, tenant_id, name, [version])
    return {**document, "aliases": aliases_by_version.get(version, [])}


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        **named_versions.describe_common(row),
        "problem": row.problem,
        "target": row.target,
        "estimator": row.estimator,
        "metrics": row.metrics,
    }


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
