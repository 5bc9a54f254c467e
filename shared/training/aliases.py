"""Aliases of models: each change is kept and told of, and none ever stands for a version that was deleted."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors, ids
from shared.catalog import versions
from shared.jobs import outbox
from shared.training import tables

_aliases = tables.model_aliases
_changes = tables.model_alias_changes


def is_free(word: str) -> bool:
    """Tell whether a word can be an alias: `name@latest` and `name@3` mean something else."""
    return word != "latest" and not word.isdecimal()


def put(connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str) -> sa.Row[Any]:
    """Let an alias stand for a version; ConflictError when that was deleted a moment ago."""
    _hold(connection, version)
    now = clock.now_ms()
    written = connection.execute(
        _insert(connection, version, alias, changed_by=changed_by, now=now)
        .on_conflict_do_update(
            index_elements=[_aliases.c.tenant_id, _aliases.c.name, _aliases.c.alias],
            set_={"version": version.version, "updated_by": changed_by, "updated_at": now},
        )
        .returning(*_aliases.c)
    ).one()
    _tell(connection, version, written)
    return written


def give(connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str, archive_sha256: str) -> bool:
    """Let an alias that an archive brought stand for a version, unless the name has it; tells whether it hadn't."""
    _hold(connection, version)
    written = connection.execute(
        _insert(connection, version, alias, changed_by=changed_by, now=clock.now_ms())
        .on_conflict_do_nothing()
        .returning(*_aliases.c)
    ).one_or_none()
    if written is not None:
        _tell(connection, version, written, archive_sha256=archive_sha256)
    return written is not None


def remove(connection: sa.Connection, name: str, alias: str, *, tenant_id: str, changed_by: str) -> bool:
    """Let an alias stand for nothing any more; tells whether there was one."""
    known = {"tenant_id": tenant_id, "name": name, "alias": alias}
    version = connection.execute(
        sa.delete(_aliases).where(*_are(_aliases, known)).returning(_aliases.c.version)
    ).scalar()
    if version is None:
        return False
    _keep_change(connection, {**known, "version": None}, changed_by=changed_by, changed_at=clock.now_ms())
    data = {"name": name, "alias": alias, "version": version}
    outbox.put(connection, [outbox.Event("model.alias_deleted", f"{name}@{alias}", tenant_id, data)])
    return True


def _of(version: sa.Row[Any]) -> dict[str, Any]:
    return {name: getattr(version, name) for name in ("tenant_id", "name", "version")}


def _are(table: sa.Table, known: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    return (table.c[column] == value for column, value in known.items())


def _hold(connection: sa.Connection, version: sa.Row[Any]) -> None:
    # Until the commit nobody deletes it; who waits to do so looks for aliases after that.
    if not versions.hold(connection, tables.model_versions, **_of(version)):
        raise errors.ConflictError(f"{version.name}@{version.version} was deleted a moment ago.")


def _insert(
    connection: sa.Connection, version: sa.Row[Any], alias: str, *, changed_by: str, now: sa.ColumnElement[int]
) -> Any:
    row = {**_of(version), "alias": alias, "updated_by": changed_by, "updated_at": now}
    return database.insert(connection, _aliases).values(**row)


def _tell(
    connection: sa.Connection, version: sa.Row[Any], written: sa.Row[Any], *, archive_sha256: str | None = None
) -> None:
    known = {**_of(written), "alias": written.alias}
    by = {"changed_by": written.updated_by, "changed_at": written.updated_at}
    _keep_change(connection, known, **by, archive_sha256=archive_sha256)
    pin = {name: getattr(version, name) for name in contract.ModelPin.model_fields}
    data = {**{name: known[name] for name in ("name", "alias", "version")}, "pin": pin}
    label = f"{written.name}@{written.alias}"
    outbox.put(connection, [outbox.Event("model.alias_changed", label, written.tenant_id, data)])


def _keep_change(connection: sa.Connection, known: Mapping[str, Any], **change: Any) -> None:
    connection.execute(sa.insert(_changes).values(**known, **change, id=ids.new_ulid()))
