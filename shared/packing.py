"""What an archive is to hold: the rows of the versions that were asked for."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from shared import archives, database, datasets, errors
from shared.storage import contract as storage
from shared.training import tables as training

_PLACES: dict[archives.Type, tuple[tuple[str, sa.Table], ...]] = {
    "dataset": tuple((role, datasets.VERSIONS) for role in datasets.ROLES),
    "model": (("training", training.model_versions),),
}
_OWN = ("tenant_id", "name", "version", "job_id", "created_by", "deleted_at", "key", "sha256", "bytes")
"""Columns that an item says by itself, or that mean nothing elsewhere."""


def take(databases: database.Databases, command: storage.ExportArchive, *, tenant_id: str) -> Iterator[dict[str, Any]]:
    """Give a line for each version that is asked for; raises InvalidRequestError when there is none or too many."""
    count = 0
    for made, places in _PLACES.items():
        if command.what not in (made, "tenant"):
            continue
        for role, table in places:
            with database.available(role), databases[role].statements.connect() as connection:
                rows = connection.execute(_wanted(table, command, tenant_id=tenant_id))
                for row in rows:
                    count += 1
                    yield {"key": row.key, "item": _item(made, role, row)}
    if not 0 < count <= archives.MOST_ITEMS:
        asked = command.what if command.name is None else f"{command.what} {command.name!r}"
        problem = errors.Problem(f"{count} versions were found; an archive holds 1 to {archives.MOST_ITEMS}.", "#/name")
        raise errors.InvalidRequestError(f"There is nothing to pack of the {asked}.", problems=[problem])


def _wanted(table: sa.Table, command: storage.ExportArchive, *, tenant_id: str) -> sa.Select[Any]:
    query = sa.select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.deleted_at.is_(None),
    )
    if command.name is not None:
        query = query.where(table.c.name == command.name)
    if command.version is not None:
        query = query.where(table.c.version == command.version)
    return query.order_by(table.c.name, table.c.version).limit(archives.MOST_ITEMS + 1)


def _item(made: archives.Type, role: str, row: sa.Row[Any]) -> dict[str, Any]:
    known = {str(name): value for name, value in row._asdict().items()}
    return {
        "role": role,
        "type": made,
        **{name: known[name] for name in ("name", "version", "sha256", "bytes")},
        "row": {name: value for name, value in known.items() if name not in _OWN},
    }
