"""Aliases of models: words that stand for a version, each change kept."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api import answers, documents, door
from shared import clock, database, errors
from shared.training import aliases as kept
from shared.training import tables

_ROLE = "training"
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_aliases = tables.model_aliases
_changes = tables.model_alias_changes


def of_versions(name: str, versions: sa.Select[Any] | Sequence[int]) -> dict[int, list[str]]:
    """Give the aliases that stand for some of a model's versions, by version."""
    held: dict[int, list[str]] = {}
    for row in _read(sa.select(_aliases).where(_of(name), _aliases.c.version.in_(versions)).order_by(_aliases.c.alias)):
        held.setdefault(row.version, []).append(row.alias)
    return held


def of_page(name: str, query: documents.NamesQuery) -> dict[int, list[str]]:
    """Give the aliases that stand for the versions which a page of the list shows."""
    before = answers.read_cursor(query.cursor, pattern=r"\d{1,9}")
    table = tables.model_versions
    shown = sa.select(table.c.version).where(
        table.c.tenant_id == door.client().tenant_id, table.c.name == name, table.c.deleted_at.is_(None)
    )
    if before is not None:
        shown = shown.where(table.c.version < int(before))
    return of_versions(name, shown.order_by(table.c.version.desc()).limit(query.limit))


def page(name: str, query: documents.NamesQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Give a page of a model's aliases in alphabetical order, and the cursor of the next one."""
    after = answers.read_cursor(query.cursor, pattern=r"[a-z0-9][a-z0-9._-]{0,62}")
    wanted = sa.select(_aliases).where(_of(name))
    if after is not None:
        wanted = wanted.where(_aliases.c.alias > after)
    rows = _read(wanted.order_by(_aliases.c.alias).limit(query.limit + 1))
    more = len(rows) > query.limit
    return [_describe(row) for row in rows[: query.limit]], (
        answers.cursor_for(rows[query.limit - 1].alias) if more else None
    )


def history(name: str, alias: str, query: documents.NamesQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Give a page of an alias's changes, newest first, and the cursor of the next one."""
    before = answers.read_cursor(query.cursor, pattern=_ULID)
    wanted = sa.select(_changes).where(
        _changes.c.tenant_id == door.client().tenant_id, _changes.c.name == name, _changes.c.alias == alias
    )
    if before is not None:
        wanted = wanted.where(_changes.c.id < before)
    rows = _read(wanted.order_by(_changes.c.id.desc()).limit(query.limit + 1))
    if not rows and before is None:
        raise errors.NotFoundError(f"{name!r} has never had an alias {alias!r}.")
    shown = rows[: query.limit]
    described = [
        {
            "version": row.version,
            "changed_by": row.changed_by,
            "changed_at": clock.to_text(row.changed_at),
            "archive_sha256": row.archive_sha256,
        }
        for row in shown
    ]
    return described, answers.cursor_for(shown[-1].id) if len(rows) > query.limit else None


def version_of(name: str, alias: str) -> int:
    """Give the version that an alias stands for; raises NotFoundError when there is no such alias."""
    found = _read(sa.select(_aliases.c.version).where(_of(name), _aliases.c.alias == alias))
    if not found:
        raise errors.NotFoundError(f"{name!r} has no alias {alias!r}.")
    return int(found[0].version)


def put(row: sa.Row[Any], alias: str) -> dict[str, Any]:
    """Let an alias stand for a version, keep the change, and tell of it."""
    with database.available(_ROLE), door.current().databases[_ROLE].transactions.begin() as connection:
        return _describe(kept.put(connection, row, alias, changed_by=door.client().key_id))


def remove(name: str, alias: str) -> None:
    """Let an alias stand for nothing any more, keep the change, and tell of it."""
    client = door.client()
    with database.available(_ROLE), door.current().databases[_ROLE].transactions.begin() as connection:
        if not kept.remove(connection, name, alias, tenant_id=client.tenant_id, changed_by=client.key_id):
            raise errors.NotFoundError(f"{name!r} has no alias {alias!r}.")


def _of(name: str) -> sa.ColumnElement[bool]:
    return sa.and_(_aliases.c.tenant_id == door.client().tenant_id, _aliases.c.name == name)


def _read(query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        return connection.execute(query).all()


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "alias": row.alias,
        "version": row.version,
        "updated_at": clock.to_text(row.updated_at),
        "updated_by": row.updated_by,
    }
