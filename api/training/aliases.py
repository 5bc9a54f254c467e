"""Aliases of models: words that stand for a version, each change kept."""

from typing import Any

import sqlalchemy as sa

from api import door
from shared import clock, database, ids, outbox, pins
from shared.training import tables

_ROLE = "training"


def by_version(name: str) -> dict[int, list[str]]:
    """Give a model's aliases by the version that they stand for."""
    table = tables.model_aliases
    held: dict[int, list[str]] = {}
    with database.available(_ROLE), door.current().databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(
            sa.select(table.c.alias, table.c.version)
            .where(table.c.tenant_id == door.client().tenant_id, table.c.name == name)
            .order_by(table.c.alias)
        )
        for alias, version in rows:
            held.setdefault(version, []).append(alias)
    return held


def put(row: sa.Row[Any], alias: str) -> dict[str, Any]:
    """Let an alias stand for a version, keep the change, and tell of it."""
    client = door.client()
    known = {"tenant_id": client.tenant_id, "name": row.name, "alias": alias, "version": row.version}
    data = {"name": row.name, "alias": alias, "version": row.version, "pin": pins.model_pin(row)}
    with database.available(_ROLE), door.current().databases[_ROLE].transactions.begin() as connection:
        updated_at = _write(connection, known, changed_by=client.key_id)
        outbox.put(connection, [outbox.Event("model.alias_changed", f"{row.name}@{alias}", client.tenant_id, data)])
    return {"name": row.name, "alias": alias, "version": row.version, "updated_at": clock.to_text(updated_at)}


def _write(connection: sa.Connection, known: dict[str, Any], *, changed_by: str) -> int:
    now = clock.now_ms()
    table = tables.model_aliases
    statement = database.insert(connection, table).values(**known, updated_by=changed_by, updated_at=now)
    updated_at = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[table.c.tenant_id, table.c.name, table.c.alias],
            set_={"version": known["version"], "updated_by": changed_by, "updated_at": now},
        ).returning(table.c.updated_at)
    ).scalar_one()
    connection.execute(
        sa.insert(tables.model_alias_changes).values(
            **known, id=ids.new_ulid(), changed_by=changed_by, changed_at=updated_at
        )
    )
    return int(updated_at)
