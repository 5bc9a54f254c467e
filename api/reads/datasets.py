"""Datasets: several roles make them, and each keeps its own."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept, versions
from api.reads.kept import Place
from shared import database, errors
from shared.catalog import kept_tables
from shared.catalog import versions as catalog_versions

TYPE = kept_tables.DATASET.type


def place_of(databases: database.Databases, tenant_id: str, name: str) -> Place:
    """Find the role that keeps a dataset; raises NotFoundError when none does."""
    fault: Exception | None = None
    for place in kept.of_type(TYPE):
        try:
            with databases[place.role].statements.connect() as connection:
                found = catalog_versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=None)
        except database.FAULTS as down:
            fault = down
            continue
        if found is not None:
            return place
    if fault is not None:
        raise errors.UnavailableError(
            f"{name!r} may be in a database that can't be reached now.", retry_after_seconds=5
        ) from fault
    raise errors.NotFoundError(f"There is no dataset {name!r}.")


def find(databases: database.Databases, tenant_id: str, name: str, version: int) -> tuple[Place, sa.Row[Any]]:
    """Read a dataset's version, and where it is kept."""
    place = place_of(databases, tenant_id, name)
    return place, versions.find(databases, tenant_id, place, name, version)


def page(databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of a dataset's versions, newest first."""
    place = place_of(databases, tenant_id, name)
    return versions.page(databases, tenant_id, place, name, limit=limit, cursor=cursor, describe=describe)


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe a version as a list shows it."""
    return {**versions.common(row), "rows": row.rows, "columns": len(row.columns)}


def show(databases: database.Databases, tenant_id: str, name: str, version: int) -> dict[str, Any]:
    """Describe a version with its schema, its profile and where it came from."""
    place, row = find(databases, tenant_id, name, version)
    return {
        **versions.common(row),
        "role": place.role,
        "rows": row.rows,
        "columns": row.columns,
        "profile": row.profile,
        "notes": row.notes,
        "lineage": row.lineage,
    }
