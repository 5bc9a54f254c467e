"""Deletes a version, unless an alias stands for it, or an archive."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import clock, database, errors
from shared.catalog import versions
from shared.storage.tables import archives

_ARCHIVES_ROLE = "storage"


def delete(databases: database.Databases, place: kept.Place, row: sa.Row[Any]) -> None:
    """Mark a version as deleted, and delete what belongs to it; raises ConflictError while an alias stands for it.

    Its object stays until the store is pruned, for jobs that have pinned it.
    """
    with database.available(place.role), databases[place.role].transactions.begin() as connection:
        mark_deleted(connection, place, row)


def mark_deleted(connection: sa.Connection, place: kept.Place, row: sa.Row[Any]) -> None:
    """Mark a version as deleted in the caller's transaction; raises ConflictError while an alias stands for it."""
    aliases = _lock_and_read_aliases(connection, place, row)
    if aliases:
        raise errors.ConflictError(
            f"Aliases of {row.name!r} stand for {row.name}@{row.version}: {', '.join(map(repr, aliases))}; set them to "
            f"another version, or remove them, at "
            f"/v1/{place.kept_type.plural}/{row.name}/aliases/{aliases[0]}."
        )
    for table in place.attachments:
        connection.execute(sa.delete(table).where(*_is_version(table, row)))
    versions.delete(connection, place.versions, row, type_=place.type)


def _lock_and_read_aliases(connection: sa.Connection, place: kept.Place, row: sa.Row[Any]) -> list[str]:
    """Read the aliases that stand for a version; its lock keeps others from being set until the transaction ends."""
    table, aliases = place.versions, place.aliases
    if aliases is None:
        return []
    # Locked by a separate statement, so that the next one sees every alias that was set before it got the lock.
    connection.execute(sa.select(table.c.version).where(*_is_version(table, row)).with_for_update()).all()
    query = sa.select(aliases.c.alias).where(*_is_version(aliases, row)).order_by(aliases.c.alias)
    return list(connection.execute(query).scalars())


def _is_version(table: sa.Table, row: sa.Row[Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == getattr(row, name) for name in ("tenant_id", "name", "version")]


def delete_archive(databases: database.Databases, row: sa.Row[Any]) -> None:
    """Mark an archive as deleted, given its row; its object is deleted when the store is pruned."""
    with database.available(_ARCHIVES_ROLE), databases[_ARCHIVES_ROLE].statements.begin() as connection:
        connection.execute(
            sa.update(archives)
            .where(archives.c.id == row.id, archives.c.tenant_id == row.tenant_id)
            .values(deleted_at=clock.now_ms())
        )
