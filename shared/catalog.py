"""The door's catalogue: what the roles have made, learnt from their events.

A reference is looked up in the role's own database. While that is down the catalogue answers instead,
so that one role's outage stops no other role's jobs.
"""

from typing import Any

import sqlalchemy as sa

from shared import clock, database, door_tables, outbox

_TYPES = {
    "dataset.created": "dataset",
    "features.created": "features",
    "model.created": "model",
    "model.alias_changed": "model",
}


def note(connection: sa.Connection, event: outbox.Outgoing, *, role: str) -> None:
    """Note a thing that a role has made or named; noting it twice changes nothing."""
    made = _TYPES.get(event.type)
    catalog = door_tables.catalog
    if event.type == "dataset.deleted":
        connection.execute(
            sa.delete(catalog).where(
                catalog.c.tenant_id == event.tenant_id,
                catalog.c.type == "dataset",
                catalog.c.name == event.data["name"],
                catalog.c.label == str(event.data["version"]),
            )
        )
    if made is None:
        return
    now = clock.now_ms()
    statement = database.insert(connection, catalog).values(
        tenant_id=event.tenant_id,
        type=made,
        name=event.data["name"],
        label=event.data.get("alias") or str(event.data["version"]),
        version=event.data["version"],
        role=role,
        pin=event.data["pin"],
        noted_at=now,
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[catalog.c.tenant_id, catalog.c.type, catalog.c.name, catalog.c.label],
            set_={"version": statement.excluded.version, "pin": statement.excluded.pin, "noted_at": now},
        )
    )


def find(connection: sa.Connection, made: str, *, tenant_id: str, name: str, label: str) -> dict[str, Any] | None:
    """Give the pin of `name@label`; `latest` is the greatest version."""
    catalog = door_tables.catalog
    query = sa.select(catalog.c.pin).where(
        catalog.c.tenant_id == tenant_id, catalog.c.type == made, catalog.c.name == name
    )
    if label != "latest":
        query = query.where(catalog.c.label == label)
    pin: dict[str, Any] | None = connection.execute(query.order_by(catalog.c.version.desc()).limit(1)).scalar()
    return pin
