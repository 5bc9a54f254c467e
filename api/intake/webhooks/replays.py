"""Sends again what was sent, and sends a test."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from api.intake.webhooks import changes
from shared import clock, errors, ids
from shared.catalog import api_tables
from shared.events import cloud_events, log
from shared.webhooks import health, matching
from shared.webhooks.matching import Key
from shared.webhooks.states import DeliveryState, WebhookState

_deliveries = api_tables.webhook_deliveries
TEST = "webhook.test"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which deliveries that have ended are sent again."""

    state: DeliveryState
    type: str | None = None
    """A type of events, or a group of them (`job.*`)."""
    since: int | None = None
    """In epoch milliseconds, when the delivery was made."""
    until: int | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Build the conditions on deliveries."""
        conditions: list[sa.ColumnElement[bool]] = [_deliveries.c.state == self.state, _can_be_sent()]
        if self.type is not None:
            is_group = self.type.endswith(".*")
            stem = self.type.removesuffix("*")
            type_ = _deliveries.c.type
            conditions.append(type_.startswith(stem, autoescape=True) if is_group else type_ == self.type)
        if self.since is not None:
            conditions.append(_deliveries.c.created_at >= self.since)
        if self.until is not None:
            conditions.append(_deliveries.c.created_at < self.until)
        return conditions


def send_test(connection: sa.Connection, tenant_id: str, name: str) -> str:
    """Add a delivery of an event that tells of nothing; returns its id. Raises NotFoundError, ConflictError."""
    key = _find_enabled(connection, tenant_id, name)
    if matching.count_pending(connection, key) >= matching.MAX_PENDING:
        raise errors.ConflictError(f"{matching.MAX_PENDING:,} deliveries wait already; a test would wait behind them.")
    event_id, now = ids.new_ulid(), clock.read(connection)
    event = log.Logged(
        position=0,
        id=event_id,
        role=health.ROLE,
        tenant_id=tenant_id,
        type=TEST,
        subject=name,
        correlation_id=event_id,
        data={"name": name},
        created_at=now,
    )
    payload = cloud_events.to_cloud_event(event)
    [delivery_id] = matching.add(
        connection, key, [{"event_id": event_id, "type": TEST, "subject": name, "payload": payload}]
    )
    return delivery_id


def replay(connection: sa.Connection, tenant_id: str, name: str, delivery_id: str) -> None:
    """Send a delivery again, with the event's id as before; one that waits is due at once.

    Raises NotFoundError, and ConflictError when the webhook is disabled or the log no longer has the event.
    """
    key = _find_enabled(connection, tenant_id, name)
    this = (*matching.is_of(key), _deliveries.c.id == delivery_id)
    if connection.execute(sa.select(_deliveries.c.id).where(*this)).first() is None:
        raise errors.NotFoundError(f"The webhook {name!r} has no delivery {delivery_id!r}.")
    now = clock.now_ms()
    if connection.execute(sa.select(_deliveries.c.id).where(*this, matching.is_pending())).first() is not None:
        # One that is under way now isn't sent beside itself.
        is_waiting = _deliveries.c.leased_until <= now
        connection.execute(sa.update(_deliveries).where(*this, matching.is_pending(), is_waiting).values(due_at=now))
        return
    begun = connection.execute(sa.update(_deliveries).where(*this, _can_be_sent()).values(_begin_anew()))
    if begun.rowcount == 0:
        raise errors.ConflictError("The event log no longer has the event of this delivery, so it can't be sent again.")


def replay_all(connection: sa.Connection, tenant_id: str, name: str, chosen: Filter, *, dry_run: bool) -> int:
    """Send all deliveries of a filter again, or only count them; returns how many.

    Raises NotFoundError, and ConflictError when the webhook is disabled or they are more than may wait.
    """
    # Counting may take long, and the webhook's row must not stay locked meanwhile.
    webhook = changes.show(connection, tenant_id, name) if dry_run else changes.find(connection, tenant_id, name)
    key = Key(tenant_id, webhook.id)
    these = (*matching.is_of(key), *chosen.conditions())
    query = sa.select(sa.func.count()).select_from(_deliveries).where(*these)
    count = int(connection.execute(query).scalar_one())
    if dry_run:
        return count
    _require_enabled(webhook)
    room = matching.MAX_PENDING - matching.count_pending(connection, key)
    if count > room:
        raise errors.ConflictError(
            f"These are {count:,} deliveries, and {room:,} more may wait now; choose fewer by `since` and `until`."
        )
    return connection.execute(sa.update(_deliveries).where(*these).values(_begin_anew())).rowcount


def _find_enabled(connection: sa.Connection, tenant_id: str, name: str) -> Key:
    webhook = changes.find(connection, tenant_id, name)
    _require_enabled(webhook)
    return Key(tenant_id, webhook.id)


def _require_enabled(webhook: sa.Row[Any]) -> None:
    if webhook.state != WebhookState.ENABLED:
        raise errors.ConflictError(
            f"The webhook {webhook.name!r} is disabled: {webhook.disabled_reason} Enable it first, by POST …/enable."
        )


def _begin_anew() -> dict[str, Any]:
    return {
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "due_at": clock.now_ms(),
        "leased_until": 0,
        "status": None,
        "error": None,
        "ended_at": None,
    }


def _can_be_sent() -> sa.ColumnElement[bool]:
    """Choose deliveries whose event is still there."""
    logged = sa.exists().where(
        log.events.c.id == _deliveries.c.event_id, log.events.c.tenant_id == _deliveries.c.tenant_id
    )
    return sa.or_(_deliveries.c.payload.isnot(None), logged)
