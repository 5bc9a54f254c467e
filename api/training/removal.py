"""Deleting a model's version, which must not be what an alias stands for."""

from typing import Any

import sqlalchemy as sa

from api import door
from shared import database, errors, versions
from shared.training import aliases, export_rows, tables

_ROLE = "training"
CONFLICT = {
    "description": "An alias stands for it, and which",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def delete(row: sa.Row[Any]) -> None:
    """Mark a version as deleted, once, and forget its exports; ConflictError while an alias stands for it."""
    with database.available(_ROLE), door.current().databases[_ROLE].transactions.begin() as connection:
        remove(connection, row)


def remove(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Do so in a transaction."""
    held = aliases.of_version(connection, row)
    if held:
        raise errors.ConflictError(
            f"{row.name}@{row.version} is what {', '.join(map(repr, held))} of {row.name!r} stands for; let the "
            f"alias stand for another version, or remove it, at /v1/models/{row.name}/aliases/{held[0]}."
        )
    export_rows.remove(connection, tenant_id=row.tenant_id, name=row.name, version=row.version)
    versions.delete(connection, tables.model_versions, row, made="model")
