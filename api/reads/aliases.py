"""Aliases of models: which version each stands for, and their history."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, database, errors
from shared.training.tables import model_alias_changes, model_aliases

_ROLE = "training"
_VERSIONS_AT_ONCE = 100
_ULID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"


def of_many(
    connection: sa.Connection, tenant_id: str, versions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], list[str]]:
    """Read the aliases that stand for some versions of models, by name and version."""
    aliases: dict[tuple[str, int], list[str]] = {}
    table = model_aliases
    for start in range(0, len(versions), _VERSIONS_AT_ONCE):
        # Joined by OR, because for tuples SQLite reads the whole table.
        is_version = [
            sa.and_(table.c.name == name, table.c.version == version)
            for name, version in versions[start : start + _VERSIONS_AT_ONCE]
        ]
        query = sa.select(table).where(table.c.tenant_id == tenant_id, sa.or_(*is_version))
        for row in sorted(connection.execute(query), key=lambda row: row.alias):
            aliases.setdefault((row.name, row.version), []).append(row.alias)
    return aliases


def page(databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of a model's aliases in alphabetical order."""
    after = cursors.unpack(cursor, pattern=r"[a-z0-9][a-z0-9._-]{0,62}")
    query = sa.select(model_aliases).where(_is_of_model(tenant_id, name))
    if after is not None:
        query = query.where(model_aliases.c.alias > after)
    rows = _read(databases, query.order_by(model_aliases.c.alias).limit(limit + 1))
    return {
        "aliases": [describe(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].alias) if len(rows) > limit else None,
    }


def history(
    databases: database.Databases, tenant_id: str, name: str, alias: str, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of an alias's changes, newest first; raises NotFoundError when it never existed."""
    before = cursors.unpack(cursor, pattern=_ULID)
    changes = model_alias_changes
    query = sa.select(changes).where(changes.c.tenant_id == tenant_id, changes.c.name == name, changes.c.alias == alias)
    if before is not None:
        query = query.where(changes.c.id < before)
    rows = _read(databases, query.order_by(changes.c.id.desc()).limit(limit + 1))
    if not rows and before is None:
        raise errors.NotFoundError(f"{name!r} has never had an alias {alias!r}.")
    shown = rows[:limit]
    return {
        "name": name,
        "alias": alias,
        "changes": [_describe_change(row) for row in shown],
        "next_cursor": cursors.pack(shown[-1].id) if len(rows) > limit else None,
    }


def _describe_change(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "version": row.version,
        "changed_by": row.changed_by,
        "changed_at": clock.to_text(row.changed_at),
        "archive_sha256": row.archive_sha256,
    }


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe an alias."""
    return {
        "name": row.name,
        "alias": row.alias,
        "version": row.version,
        "updated_at": clock.to_text(row.updated_at),
        "updated_by": row.updated_by,
    }


def _is_of_model(tenant_id: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(model_aliases.c.tenant_id == tenant_id, model_aliases.c.name == name)


def _read(databases: database.Databases, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        return connection.execute(query).all()
