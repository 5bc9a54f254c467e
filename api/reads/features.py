"""Feature sets: their versions, each with the columns that its recipe makes."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept, named_versions
from api.reads.kept import Place
from shared import database
from shared.catalog import kept_tables
from shared.processing.tables import feature_versions

TYPE = kept_tables.FEATURES.type


def place() -> Place:
    """Look up where feature sets are kept, which is in one role's database."""
    [place] = kept.places_of_type(TYPE)
    return place


def page(
    databases: database.Databases,
    tenant_id: str,
    name: str,
    chosen: named_versions.Filter,
    *,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Read a page of a feature set's versions, newest first."""
    shown = (feature_versions.c.columns, feature_versions.c.target)
    return named_versions.page(
        databases, tenant_id, place(), name, chosen, limit=limit, cursor=cursor, shown=shown, describe=describe
    )


def find(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> sa.Row[Any]:
    """Read a version's row; raises NotFoundError when it isn't there."""
    return named_versions.find(databases, tenant_id, place(), name, version)


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe a version as a list shows it."""
    return {**named_versions.describe_common(row), "columns": row.columns, "target": row.target}


def show(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> dict[str, Any]:
    """Describe a version with its recipe, the columns that it makes and its lineage."""
    row = find(databases, tenant_id, name, version)
    return {**describe(row), "recipe": row.recipe, "notes": row.notes, "lineage": row.lineage}
