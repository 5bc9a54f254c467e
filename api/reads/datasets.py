"""Datasets. Several roles make them, and each keeps its own in its database.

See docs/decisions/datasets.md, "Datasets are kept by the role that makes them".
"""

import functools
from typing import Any

import sqlalchemy as sa

from api.reads import kept, named_versions
from api.reads.kept import Place
from shared import database, errors
from shared.catalog import kept_tables, versions
from shared.jobs import json_rows

TYPE = kept_tables.DATASET.type


def place_of(databases: database.Databases, tenant_id: str, name: str) -> Place:
    """Find the role that keeps a dataset; raises NotFoundError when none does."""
    failure: Exception | None = None
    for place in kept.places_of_type(TYPE):
        try:
            with databases[place.role].statements.connect() as connection:
                row = versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=None)
        except database.FAULTS as error:
            failure = error
            continue
        if row is not None:
            return place
    if failure is not None:
        raise errors.UnavailableError(
            f"{name!r} may be in a database that can't be reached now.", retry_after_seconds=5
        ) from failure
    raise errors.NotFoundError(f"There is no dataset {name!r}.")


def find(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> tuple[Place, sa.Row[Any]]:
    """Find where a dataset is kept, and read a version's row; raises NotFoundError."""
    place = place_of(databases, tenant_id, name)
    return place, named_versions.find(databases, tenant_id, place, name, version)


def page(
    databases: database.Databases,
    tenant_id: str,
    name: str,
    chosen: named_versions.Filter,
    *,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Read a page of a dataset's versions, newest first."""
    place = place_of(databases, tenant_id, name)
    shown = _shown_columns(place.versions)
    return named_versions.page(
        databases, tenant_id, place, name, chosen, limit=limit, cursor=cursor, shown=shown, describe=_describe
    )


@functools.cache
def _shown_columns(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    return table.c.rows, json_rows.length_of(table.c.columns).label("column_count")


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {**named_versions.describe_common(row), "rows": row.rows, "columns": row.column_count}


def show(databases: database.Databases, tenant_id: str, name: str, version: int | None) -> dict[str, Any]:
    """Describe a version with its schema, its profile and its lineage."""
    place, row = find(databases, tenant_id, name, version)
    return {
        **named_versions.describe_common(row),
        "role": place.role,
        "rows": row.rows,
        "columns": row.columns,
        "profile": row.profile,
        "notes": row.notes,
        "lineage": row.lineage,
    }
