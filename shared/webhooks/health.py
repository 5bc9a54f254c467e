"""What attempts tell of a webhook as a whole: since when it fails, its pauses, and that it is disabled."""

import dataclasses
from typing import Any

import sqlalchemy as sa

from shared import clock, ids
from shared.catalog import api_tables
from shared.events import log
from shared.jobs import outbox
from shared.webhooks import deliveries, schedule
from shared.webhooks.deliveries import Leased
from shared.webhooks.matching import Key, is_enabled, is_webhook
from shared.webhooks.schedule import Outcome
from shared.webhooks.states import DeliveryState, WebhookState

ROLE = "api"
"""The source of events that webhooks make."""
_webhooks = api_tables.webhooks


@dataclasses.dataclass(frozen=True)
class Ended:
    """What an attempt has changed."""

    state: DeliveryState | None
    """The delivery's state; None when its lease is somebody else's, so that nothing was changed."""
    has_disabled: bool = False
    """Whether the webhook is disabled now."""


def end_attempt(connection: sa.Connection, leased: Leased, outcome: Outcome) -> Ended:
    """Write down what came of an attempt, in the delivery and in its webhook."""
    # First, as whoever replays does too: in another order the two could wait for each other.
    query = sa.select(_webhooks).where(*is_webhook(leased.key)).with_for_update()
    row = connection.execute(query).one_or_none()
    state = deliveries.finish(connection, leased, outcome)
    if state is None or row is None or outcome.is_final or row.url != leased.url:
        # What has nothing to do with the receiver, or was another one's, says nothing of it.
        return Ended(state)
    return Ended(state, _note(connection, leased.key, row, outcome, state=state))


def _note(connection: sa.Connection, key: Key, row: sa.Row[Any], outcome: Outcome, *, state: DeliveryState) -> bool:
    """Note what an attempt tells of its webhook; True when that is disabled by it."""
    now = clock.read(connection)
    if state == DeliveryState.DELIVERED:
        changes = {"failing_since": None, "throttles": 0, "delivered_at": now}
        connection.execute(sa.update(_webhooks).where(*is_webhook(key)).values(**changes))
        return False
    failing_since = row.failing_since or now
    pause = schedule.pause_seconds(outcome, throttles=row.throttles)
    connection.execute(
        sa.update(_webhooks)
        .where(*is_webhook(key))
        .values(
            failing_since=failing_since,
            throttles=row.throttles + 1 if schedule.is_slow(outcome) else 0,
            paused_until=max(row.paused_until, now + pause * 1000) if pause else row.paused_until,
        )
    )
    if outcome.is_gone:
        return disable(connection, key, reason="The receiver answered 410: it wants nothing more.")
    # Whichever delivery it is: while a webhook is paused again and again, none may come to its last attempt.
    if now - failing_since >= schedule.GIVEN_UP_SECONDS * 1000:
        days = (now - failing_since) / 86_400_000
        reason = f"Nothing was delivered for {days:.1f} days; the last try: {outcome.error}"
        return disable(connection, key, reason=reason)
    return False


def disable(connection: sa.Connection, key: Key, *, reason: str) -> bool:
    """Disable a webhook with the reason, and log that; as the last thing in a transaction. False if it was already."""
    row = connection.execute(
        sa.update(_webhooks)
        .where(*is_webhook(key), *is_enabled())
        .values(
            state=WebhookState.DISABLED,
            disabled_reason=reason[:500],
            disabled_at=clock.now_ms(),
            updated_at=clock.now_ms(),
            revision=_webhooks.c.revision + 1,
        )
        .returning(_webhooks.c.name, _webhooks.c.disabled_at)
    ).one_or_none()
    if row is None:
        return False
    event_id = ids.new_ulid()
    event = outbox.OutgoingEvent(
        id=event_id,
        tenant_id=key.tenant_id,
        type="webhook.disabled",
        subject=row.name,
        data={"name": row.name, "reason": reason[:500]},
        created_at=row.disabled_at,
        correlation_id=event_id,
    )
    log.append(connection, [event], role=ROLE)
    return True
