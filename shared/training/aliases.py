"""Aliases of models: each change is recorded and announced, and no alias ever points at a deleted version."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors, ids
from shared.catalog import versions
from shared.jobs import outbox
from shared.training import tables

_aliases = tables.model_aliases
_changes = tables.model_alias_changes


def can_be_alias(word: str) -> bool:
    """Return whether a word can be an alias: `name@latest` and `name@3` mean something else."""
    return word != "latest" and not word.isdecimal()


def put(connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str) -> sa.Row[Any]:
    """Point an alias at a version; ConflictError when that version was deleted a moment ago."""
    _lock_version(connection, version)
    now = clock.now_ms()
    row = connection.execute(
        _insert(connection, version, alias, changed_by=changed_by, now=now)
        .on_conflict_do_update(
            index_elements=[_aliases.c.tenant_id, _aliases.c.name, _aliases.c.alias],
            set_={"version": version.version, "updated_by": changed_by, "updated_at": now},
        )
        .returning(*_aliases.c)
    ).one()
    _announce(connection, version, row)
    return row


def add_if_absent(
    connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str, archive_sha256: str
) -> bool:
    """Point an alias from an archive at a version, unless the model has that alias; return whether it was added."""
    _lock_version(connection, version)
    row = connection.execute(
        _insert(connection, version, alias, changed_by=changed_by, now=clock.now_ms())
        .on_conflict_do_nothing()
        .returning(*_aliases.c)
    ).one_or_none()
    if row is not None:
        _announce(connection, version, row, archive_sha256=archive_sha256)
    return row is not None


def remove(connection: sa.Connection, name: str, alias: str, *, tenant_id: str, changed_by: str) -> bool:
    """Remove an alias; return whether there was one."""
    key = {"tenant_id": tenant_id, "name": name, "alias": alias}
    version = connection.execute(
        sa.delete(_aliases).where(*_match(_aliases, key)).returning(_aliases.c.version)
    ).scalar()
    if version is None:
        return False
    _record_change(connection, {**key, "version": None}, changed_by=changed_by, changed_at=clock.now_ms())
    data = {"name": name, "alias": alias, "version": version}
    outbox.put(connection, [outbox.Event("model.alias_deleted", f"{name}@{alias}", tenant_id, data)])
    return True


def _key_of(version: sa.Row[Any]) -> dict[str, Any]:
    return {name: getattr(version, name) for name in ("tenant_id", "name", "version")}


def _match(table: sa.Table, values: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    return (table.c[column] == value for column, value in values.items())


def _lock_version(connection: sa.Connection, version: sa.Row[Any]) -> None:
    # Nobody can delete the version until the commit, and a deletion that waits looks for aliases afterwards.
    if not versions.lock_version(connection, tables.model_versions, **_key_of(version)):
        raise errors.ConflictError(f"{version.name}@{version.version} was deleted a moment ago.")


def _insert(
    connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str, now: sa.ColumnElement[int]
) -> Any:
    row = {**_key_of(version), "alias": alias, "updated_by": changed_by, "updated_at": now}
    return database.insert(connection, _aliases).values(**row)


def _announce(
    connection: sa.Connection, version: sa.Row[Any], row: sa.Row[Any], *, archive_sha256: str | None = None
) -> None:
    key = {**_key_of(row), "alias": row.alias}
    change = {"changed_by": row.updated_by, "changed_at": row.updated_at}
    _record_change(connection, key, **change, archive_sha256=archive_sha256)
    pin = {name: getattr(version, name) for name in contract.ModelPin.model_fields}
    data = {**{name: key[name] for name in ("name", "alias", "version")}, "pin": pin}
    label = f"{row.name}@{row.alias}"
    outbox.put(connection, [outbox.Event("model.alias_changed", label, row.tenant_id, data)])


def _record_change(connection: sa.Connection, key: Mapping[str, Any], **change: Any) -> None:
    connection.execute(sa.insert(_changes).values(**key, **change, id=ids.new_ulid()))
