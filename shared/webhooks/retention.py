"""What is removed for good: deliveries that ended long ago, and webhooks that were deleted, with their deliveries."""

import sqlalchemy as sa

from shared import clock
from shared.catalog import api_tables

_webhooks, _deliveries = api_tables.webhooks, api_tables.webhook_deliveries


def remove_old(connection: sa.Connection, *, retention_seconds: float, limit: int) -> int:
    """Remove deliveries that ended longer ago than that, oldest first; returns how many."""
    before = clock.now_ms_once() - int(retention_seconds * 1000)
    old = (
        sa.select(_deliveries.c.id).where(_deliveries.c.ended_at < before).order_by(_deliveries.c.ended_at).limit(limit)
    )
    removed = connection.execute(
        # A replay may have made one of them a new one meanwhile.
        sa.delete(_deliveries).where(_deliveries.c.id.in_(old), _deliveries.c.ended_at < before)
    )
    return removed.rowcount


def remove_deleted(connection: sa.Connection, *, limit: int) -> bool:
    """Remove deliveries of a webhook that was deleted, and then itself; returns whether there was one."""
    query = sa.select(_webhooks.c.id, _webhooks.c.tenant_id).where(_webhooks.c.deleted_at.isnot(None)).limit(1)
    webhook = connection.execute(query).one_or_none()
    if webhook is None:
        return False
    of_it = sa.select(_deliveries.c.id).where(
        _deliveries.c.webhook_id == webhook.id, _deliveries.c.tenant_id == webhook.tenant_id
    )
    removed = connection.execute(sa.delete(_deliveries).where(_deliveries.c.id.in_(of_it.limit(limit)))).rowcount
    if removed < limit:
        connection.execute(sa.delete(_webhooks).where(_webhooks.c.id == webhook.id, _webhooks.c.deleted_at.isnot(None)))
    return True
