"""The API's mirror of names: what the roles have made, learnt from their events.

A reference is looked up in the role's own database. While that is down the catalogue answers instead,
so that one role's outage stops no other role's jobs.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.catalog import api_tables, kept_tables
from shared.jobs import outbox

_CHANGES = ("created", "deleted", "alias_changed", "alias_deleted")
_ENDS = frozenset({"deleted", "alias_deleted"})
_TYPES = {f"{type_}.{change}": type_ for type_ in kept_tables.THINGS for change in _CHANGES}
"""The type of kept thing that an event tells of, by the event's type."""


def note(connection: sa.Connection, event: outbox.OutgoingEvent, *, role: str) -> None:
    """Note a thing that a role has made, named or deleted; events may come twice, and out of their order."""
    if event.type not in _TYPES:
        return
    catalog = api_tables.catalog
    statement = database.insert(connection, catalog).values(
        tenant_id=event.tenant_id,
        type=_TYPES[event.type],
        name=event.data["name"],
        label=event.data.get("alias") or str(event.data["version"]),
        version=event.data["version"],
        role=role,
        # A thing that was deleted stays as a row without a pin, so that an older event can't bring it back.
        pin=None if event.type.partition(".")[2] in _ENDS else event.data["pin"],
        noted_at=event.created_at,
    )
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[catalog.c.tenant_id, catalog.c.type, catalog.c.name, catalog.c.label],
            set_={"version": new.version, "pin": new.pin, "noted_at": new.noted_at},
            where=new.noted_at >= catalog.c.noted_at,
        )
    )


def find(connection: sa.Connection, made: str, *, tenant_id: str, name: str, label: str) -> dict[str, Any] | None:
    """Give the pin of `name@label`; `latest` is the greatest version."""
    catalog = api_tables.catalog
    query = sa.select(catalog.c.pin).where(
        catalog.c.tenant_id == tenant_id,
        catalog.c.type == made,
        catalog.c.name == name,
        catalog.c.pin.isnot(None),
    )
    if label != "latest":
        query = query.where(catalog.c.label == label)
    pin: dict[str, Any] | None = connection.execute(query.order_by(catalog.c.version.desc()).limit(1)).scalar()
    return pin


def kept(connection: sa.Connection, made: str, names: Sequence[str], *, role: str, tenant_id: str) -> list[str]:
    """Give those of some names of which a role has made a thing that is still there."""
    catalog = api_tables.catalog
    query = sa.select(catalog.c.name).where(
        catalog.c.tenant_id == tenant_id,
        catalog.c.type == made,
        catalog.c.name.in_(names),
        catalog.c.role == role,
        catalog.c.pin.isnot(None),
    )
    return sorted(connection.execute(query.distinct()).scalars())
