"""Deleting: a version of a kept thing, which must not be what an alias stands for; an archive."""

from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import clock, database, errors
from shared.catalog import versions
from shared.storage.tables import archives

_ARCHIVES = "storage"


def delete(databases: database.Databases, place: kept.Place, row: sa.Row[Any]) -> None:
    """Mark a version as deleted, once, with what belongs to it; ConflictError while an alias stands for it.

    Its object stays until the store is pruned, for jobs that have pinned it.
    """
    with database.available(place.role), databases[place.role].transactions.begin() as connection:
        remove(connection, place, row)


def remove(connection: sa.Connection, place: kept.Place, row: sa.Row[Any]) -> None:
    """Do so in a transaction."""
    names = _aliases_of(connection, place, row)
    if names:
        raise errors.ConflictError(
            f"{row.name}@{row.version} is what {', '.join(map(repr, names))} of {row.name!r} stands for; let the "
            f"alias stand for another version, or remove it, at "
            f"/v1/{place.thing.plural}/{row.name}/aliases/{names[0]}."
        )
    for table in place.attachments:
        connection.execute(sa.delete(table).where(*_is(table, row)))
    versions.delete(connection, place.versions, row, made=place.type)


def _aliases_of(connection: sa.Connection, place: kept.Place, row: sa.Row[Any]) -> list[str]:
    """Read the aliases that stand for a version, and let none be set until the transaction ends."""
    table, aliases = place.versions, place.aliases
    if aliases is None:
        return []
    # Locked by a statement of its own: the next one then sees each alias that was set before the lock was had.
    connection.execute(sa.select(table.c.version).where(*_is(table, row)).with_for_update()).all()
    query = sa.select(aliases.c.alias).where(*_is(aliases, row)).order_by(aliases.c.alias)
    return list(connection.execute(query).scalars())


def _is(table: sa.Table, row: sa.Row[Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == getattr(row, name) for name in ("tenant_id", "name", "version")]


def delete_archive(databases: database.Databases, row: sa.Row[Any]) -> None:
    """Let go of an archive, given its row; its object goes when the store is pruned."""
    with database.available(_ARCHIVES), databases[_ARCHIVES].statements.begin() as connection:
        connection.execute(
            sa.update(archives)
            .where(archives.c.id == row.id, archives.c.tenant_id == row.tenant_id)
            .values(deleted_at=clock.now_ms())
        )
