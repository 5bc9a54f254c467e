"""The API's mirror of names: what the roles have made, as their events reported.

A reference is looked up in the role's own database. While that is down the mirror answers instead, so that one role's
outage stops no other role's jobs. docs/decisions/datasets.md, "The API has a mirror of names for outages".
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import database
from shared.catalog import api_tables, kept_tables
from shared.jobs import outbox

_CHANGES = ("created", "deleted", "alias_changed", "alias_deleted")
_ENDS = frozenset({"deleted", "alias_deleted"})
_TYPES = {f"{type_}.{change}": type_ for type_ in kept_tables.TYPES for change in _CHANGES}
"""The kept type that an event is about, by the event's type."""


def note(connection: sa.Connection, event: outbox.OutgoingEvent, *, role: str) -> None:
    """Record an event about a version or an alias; events may arrive twice, and out of order."""
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
        # A deleted version or alias stays as a row without a pin, so that an older event can't bring it back.
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


def find_pin(connection: sa.Connection, type_: str, *, tenant_id: str, name: str, label: str) -> dict[str, Any] | None:
    """Look up the pin of `name@label`, where `latest` is the greatest version; None when it is unknown."""
    catalog = api_tables.catalog
    query = sa.select(catalog.c.pin).where(
        catalog.c.tenant_id == tenant_id,
        catalog.c.type == type_,
        catalog.c.name == name,
        catalog.c.pin.isnot(None),
    )
    if label != "latest":
        query = query.where(catalog.c.label == label)
    pin: dict[str, Any] | None = connection.execute(query.order_by(catalog.c.version.desc()).limit(1)).scalar()
    return pin


def list_kept_names(
    connection: sa.Connection, type_: str, names: Sequence[str], *, role: str, tenant_id: str
) -> list[str]:
    """List those of some names under which a role has a version that was not deleted."""
    catalog = api_tables.catalog
    query = sa.select(catalog.c.name).where(
        catalog.c.tenant_id == tenant_id,
        catalog.c.type == type_,
        catalog.c.name.in_(names),
        catalog.c.role == role,
        catalog.c.pin.isnot(None),
    )
    return sorted(connection.execute(query.distinct()).scalars())
