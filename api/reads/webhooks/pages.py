"""The queries behind GET: webhooks by name, and their deliveries, newest first."""

from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from api.reads.webhooks import documents
from shared import clock, contract, database, errors, roles
from shared.catalog import api_tables
from shared.webhooks import matching
from shared.webhooks.matching import Key
from shared.webhooks.states import DeliveryState

_webhooks, _deliveries = api_tables.webhooks, api_tables.webhook_deliveries
_NAME = contract.NAME_PATTERN.strip("^$")


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of webhooks in alphabetical order."""
    after = cursors.unpack(cursor, pattern=_NAME)
    query = _select(tenant_id).order_by(_webhooks.c.name).limit(limit + 1)
    if after is not None:
        query = query.where(_webhooks.c.name > after)
    with database.available(roles.API), databases[roles.API].statements.connect() as connection:
        now = clock.read(connection)
        rows = connection.execute(query).all()
    return {
        "webhooks": [documents.describe(row, now=now) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].name) if len(rows) > limit else None,
    }


def show(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    """Read a webhook, with how many deliveries wait; raises NotFoundError."""
    with database.available(roles.API), databases[roles.API].statements.connect() as connection:
        row = _find(connection, tenant_id, name)
        pending = matching.count_pending(connection, Key(tenant_id, row.id))
        return {**documents.describe(row, now=clock.read(connection)), "pending": pending}


def page_of_deliveries(
    databases: database.Databases,
    tenant_id: str,
    name: str,
    *,
    state: DeliveryState | None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Read a page of a webhook's deliveries, newest first; raises NotFoundError."""
    before = cursors.unpack(cursor, pattern="[0-9A-HJKMNP-TV-Z]{26}")
    with database.available(roles.API), databases[roles.API].statements.connect() as connection:
        webhook = _find(connection, tenant_id, name)
        query = sa.select(_deliveries).where(
            _deliveries.c.webhook_id == matching.as_literal(webhook.id), _deliveries.c.tenant_id == tenant_id
        )
        if state is not None:
            query = query.where(_deliveries.c.state == state)
        if before is not None:
            query = query.where(_deliveries.c.id < before)
        rows = connection.execute(query.order_by(_deliveries.c.id.desc()).limit(limit + 1)).all()
    return {
        "deliveries": [documents.describe_delivery(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].id) if len(rows) > limit else None,
    }


def show_delivery(databases: database.Databases, tenant_id: str, name: str, delivery_id: str) -> dict[str, Any]:
    """Read a delivery; raises NotFoundError."""
    with database.available(roles.API), databases[roles.API].statements.connect() as connection:
        webhook = _find(connection, tenant_id, name)
        query = sa.select(_deliveries).where(
            *matching.is_of(Key(tenant_id, webhook.id)), _deliveries.c.id == delivery_id
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"The webhook {name!r} has no delivery {delivery_id!r}.")
    return documents.describe_delivery(row)


def _select(tenant_id: str) -> sa.Select[Any]:
    return sa.select(_webhooks).where(_webhooks.c.tenant_id == tenant_id, _webhooks.c.deleted_at.is_(None))


def _find(connection: sa.Connection, tenant_id: str, name: str) -> sa.Row[Any]:
    row = connection.execute(_select(tenant_id).where(_webhooks.c.name == name)).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no webhook {name!r} here.")
    return row
