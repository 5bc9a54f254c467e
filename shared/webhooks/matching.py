"""Makes deliveries of events: each webhook goes on in its tenant's event log where it has left off."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids
from shared.catalog import api_tables
from shared.webhooks.states import DeliveryState, WebhookState

MAX_PENDING = 10_000
"""Deliveries of one webhook that may wait; further events wait in the log until there is room."""
_READ_AT_ONCE = 500
_webhooks, _deliveries, _events = api_tables.webhooks, api_tables.webhook_deliveries, api_tables.events


@dataclasses.dataclass(frozen=True)
class Key:
    """Which webhook, and whose."""

    tenant_id: str
    webhook_id: str


def is_wanted(type_: str, subject: str, *, types: Iterable[str], prefix: str | None) -> bool:
    """Check whether an event is of one of the types (`job.succeeded`, `job.*`; none: any), and of such a subject."""
    if not subject.startswith(prefix or ""):
        return False
    wanted = list(types)
    return not wanted or any(
        type_.startswith(each.removesuffix("*")) if each.endswith(".*") else type_ == each for each in wanted
    )


def list_behind(connection: sa.Connection) -> list[Key]:
    """List the webhooks for which there are events that they have not seen."""
    # Compared as pairs, by which only the index of tenants finds anything: PostgreSQL would read all that other tenants
    # have logged since.
    place = sa.tuple_(_events.c.tenant_id, _events.c.position)
    unseen = (
        sa.select(_events.c.position)
        .where(
            _events.c.tenant_id == _webhooks.c.tenant_id,
            place > sa.tuple_(_webhooks.c.tenant_id, _webhooks.c.position),
        )
        .correlate(_webhooks)
    )
    query = sa.select(_webhooks.c.tenant_id, _webhooks.c.id).where(*is_enabled(), is_any(unseen))
    return [Key(row.tenant_id, row.id) for row in connection.execute(query)]


def match(connection: sa.Connection, key: Key) -> int:
    """Make the deliveries of the next events for a webhook, and move its position; returns how many.

    Both happen in the caller's transaction, with the webhook's row locked: so each event makes one delivery, however
    many sweepers do this at once. A webhook whose row somebody else has locked is left for the next time.
    """
    webhook = connection.execute(
        sa.select(_webhooks).where(*is_webhook(key), *is_enabled()).with_for_update(skip_locked=True)
    ).one_or_none()
    room = MAX_PENDING - count_pending(connection, key) if webhook is not None else 0
    if webhook is None or room <= 0:
        return 0
    rows = connection.execute(
        sa.select(_events.c.position, _events.c.id, _events.c.type, _events.c.subject)
        .where(_events.c.tenant_id == as_literal(key.tenant_id), _events.c.position > webhook.position)
        .order_by(_events.c.position)
        .limit(_READ_AT_ONCE)
    ).all()
    wanted = [row for row in rows if is_wanted(row.type, row.subject, types=webhook.types, prefix=webhook.subject)]
    taken = wanted[:room]
    # Up to the last one that found room, or all of them.
    position = rows[-1].position if rows and len(taken) == len(wanted) else (taken[-1].position if taken else 0)
    if position > webhook.position:
        connection.execute(sa.update(_webhooks).where(*is_webhook(key)).values(position=position))
        add(connection, key, [{"event_id": row.id, "type": row.type, "subject": row.subject} for row in taken])
    return len(taken)


def add(connection: sa.Connection, key: Key, events: list[dict[str, Any]]) -> list[str]:
    """Add deliveries that are due at once, one an event: `event_id`, `type`, `subject`, and `payload` if not logged."""
    common = {
        "tenant_id": key.tenant_id,
        "webhook_id": key.webhook_id,
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "leases": 0,
        "leased_until": 0,
    }
    rows = [{"id": ids.new_ulid(), "payload": None, **event, **common} for event in events]
    if rows:
        insert = database.insert(connection, _deliveries).values(due_at=clock.now_ms(), created_at=clock.now_ms())
        connection.execute(insert.on_conflict_do_nothing(), rows)
    return [row["id"] for row in rows]


def count_pending(connection: sa.Connection, key: Key) -> int:
    """Count the deliveries of a webhook that wait."""
    pending = sa.select(sa.literal(1)).where(*is_of(key), is_pending()).limit(MAX_PENDING).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(pending)).scalar_one())


def is_any(query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Check whether a correlated query finds a row, by one look into an index for each row outside.

    An EXISTS may become a join, which reads all of the log.
    """
    return query.limit(1).scalar_subquery().isnot(None)


def as_literal(text: str) -> sa.BindParameter[str]:
    """Write an id of ours into the statement, so that it is planned for this one.

    A prepared plan is made for the average one, and for a rare one would read the rows of all others.
    """
    return sa.bindparam(None, text, literal_execute=True)


def is_enabled() -> tuple[sa.ColumnElement[bool], ...]:
    """Choose the webhooks that get anything."""
    return _webhooks.c.deleted_at.is_(None), _webhooks.c.state == WebhookState.ENABLED


def is_webhook(key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    """Choose a webhook's row."""
    return _webhooks.c.id == key.webhook_id, _webhooks.c.tenant_id == key.tenant_id


def is_of(key: Key) -> tuple[sa.ColumnElement[bool], ...]:
    """Choose a webhook's deliveries."""
    return _deliveries.c.webhook_id == key.webhook_id, _deliveries.c.tenant_id == key.tenant_id


def is_pending() -> sa.ColumnElement[bool]:
    """Choose deliveries that wait; a literal, by which partial indexes are found."""
    return _deliveries.c.state == sa.literal_column(f"'{DeliveryState.PENDING}'")
