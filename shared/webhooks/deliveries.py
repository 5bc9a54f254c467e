"""The statements that move a delivery's row: lease it, and write down what came of the attempt.

The lease's number is the fencing token: an attempt whose lease has run out, and been given to another, changes nothing.
"""

import dataclasses
import math
from typing import Any

import sqlalchemy as sa

from shared import clock, settings
from shared.catalog import api_tables
from shared.events import cloud_events, log
from shared.webhooks import keys, schedule, signatures
from shared.webhooks.matching import Key, is_any, is_enabled, is_of, is_pending, is_webhook
from shared.webhooks.schedule import Outcome
from shared.webhooks.states import DeliveryState

LEASE_SECONDS = 60
"""Three times what an attempt may take."""
MAX_AT_ONCE = 2
"""Attempts of one webhook that are under way at once."""
_webhooks, _deliveries = api_tables.webhooks, api_tables.webhook_deliveries


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leased:
    """A delivery that is to be attempted now, by whoever has leased it."""

    key: Key
    id: str
    lease: int
    attempts: int
    """Attempts that were made before."""
    event_id: str
    url: str
    event: dict[str, Any] | None
    """The CloudEvent; None when the log no longer has it."""
    secrets: tuple[bytes, ...] = dataclasses.field(repr=False)
    at_ms: int
    """When it was leased."""


def list_due(connection: sa.Connection) -> list[Key]:
    """List the webhooks that have deliveries which are due."""
    due = sa.select(_deliveries.c.id).where(_deliveries.c.webhook_id == _webhooks.c.id, *_is_due())
    query = sa.select(_webhooks.c.tenant_id, _webhooks.c.id).where(
        *is_enabled(), _webhooks.c.paused_until <= clock.now_ms_once(), is_any(due.correlate(_webhooks))
    )
    return [Key(row.tenant_id, row.id) for row in connection.execute(query)]


def make_due(connection: sa.Connection, key: Key) -> None:
    """Make what waits for a webhook due now, except for what is under way."""
    now = clock.now_ms()
    waiting = (*is_of(key), _deliveries.c.state == DeliveryState.PENDING, _deliveries.c.leased_until <= now)
    connection.execute(sa.update(_deliveries).where(*waiting).values(due_at=now))


def lease(connection: sa.Connection, key: Key, *, config: settings.Settings) -> Leased | None:
    """Lease the delivery of a webhook that has been due for longest; None when there is none, or no more may run."""
    webhook = connection.execute(
        sa.select(_webhooks).where(*is_webhook(key), *is_enabled(), _webhooks.c.paused_until <= clock.now_ms_once())
    ).one_or_none()
    if webhook is None:
        return None
    row = connection.execute(_lease(key)).one_or_none()
    if row is None:
        return None
    now = row.leased_until - LEASE_SECONDS * 1000
    salts = [webhook.salt, *(earlier["salt"] for earlier in webhook.earlier_salts if earlier["until"] > now)]
    secret_key = keys.get_or_create(connection, tenant_id=key.tenant_id, config=config)
    return Leased(
        key=key,
        id=row.id,
        lease=row.leases,
        attempts=row.attempts,
        event_id=row.event_id,
        url=webhook.url,
        event=row.payload or _read_event(connection, key.tenant_id, row.event_id),
        secrets=tuple(signatures.compute_secret(secret_key, webhook_id=webhook.id, salt=salt) for salt in salts),
        at_ms=now,
    )


def _lease(key: Key) -> sa.sql.dml.ReturningUpdate[Any]:
    table = _deliveries
    now = clock.now_ms()
    other = table.alias()
    under_way = (
        sa.select(sa.func.count())
        .select_from(other)
        .where(
            other.c.webhook_id == key.webhook_id,
            other.c.state == sa.literal_column(f"'{DeliveryState.PENDING}'"),
            other.c.leased_until > clock.now_ms_once(),
        )
        .scalar_subquery()
    )
    first = (
        sa.select(table.c.id)
        .where(*is_of(key), *_is_due(), under_way < MAX_AT_ONCE)
        .order_by(table.c.due_at, table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("first")
    )
    return (
        sa.update(table)
        .where(table.c.id.in_(sa.select(first.c.id)), table.c.state == DeliveryState.PENDING)
        .where(table.c.due_at <= now)
        .values(leases=table.c.leases + 1, leased_until=now + LEASE_SECONDS * 1000, due_at=now + LEASE_SECONDS * 1000)
        .returning(
            table.c.id, table.c.leases, table.c.leased_until, table.c.attempts, table.c.event_id, table.c.payload
        )
    )


def _is_due() -> tuple[sa.ColumnElement[bool], ...]:
    # One that is leased is due again when its lease is over.
    return is_pending(), _deliveries.c.due_at <= clock.now_ms_once()


def _read_event(connection: sa.Connection, tenant_id: str, event_id: str) -> dict[str, Any] | None:
    rows = connection.execute(
        sa.select(*log.READ).where(log.events.c.id == event_id, log.events.c.tenant_id == tenant_id)
    )
    return next((cloud_events.to_cloud_event(event) for event in log.to_logged(rows)), None)


def finish(connection: sa.Connection, leased: Leased, outcome: Outcome) -> DeliveryState | None:
    """Write down what came of an attempt; returns the delivery's state, None when its lease is somebody else's."""
    now = clock.now_ms()
    attempts = leased.attempts + 1
    state = schedule.state_after(outcome, attempts=attempts)
    wait_ms = math.ceil(schedule.wait_seconds(outcome, attempts=attempts) * 1000)
    is_pending_again = state == DeliveryState.PENDING
    written = connection.execute(
        sa.update(_deliveries)
        .where(
            _deliveries.c.id == leased.id,
            _deliveries.c.tenant_id == leased.key.tenant_id,
            _deliveries.c.leases == leased.lease,
            _deliveries.c.state == DeliveryState.PENDING,
        )
        .values(
            state=state,
            attempts=attempts,
            leased_until=0,
            due_at=now + wait_ms if is_pending_again else _deliveries.c.due_at,
            status=outcome.status,
            error=outcome.error and outcome.error[:300],
            attempted_at=now,
            ended_at=None if is_pending_again else now,
        )
    )
    return state if written.rowcount == 1 else None
