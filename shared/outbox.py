"""Events between roles: written with the effect, relayed afterwards, received once."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids, ledger, tables

_RELAY_LEASE_MS = 30_000

@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened, in the past tense: `job.succeeded` of the subject `training_01…`."""

    type: str
    subject: str
    tenant_id: str
    data: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Outgoing:
    """An event on its way out, with the id by which a receiver knows it again."""

    id: str
    tenant_id: str
    type: str
    subject: str
    data: dict[str, Any]
    created_at: int


def job_ended(swept: ledger.Swept) -> Event:
    """Make the event that says how a job ended."""
    data = {"job_id": swept.job_id, "kind": swept.kind, "state": swept.state, "attempt": swept.attempt}
    return Event(f"job.{swept.state}", swept.job_id, swept.tenant_id, data)


# Built once: building a statement costs more than running it.
_PUT = sa.insert(tables.outbox).values(created_at=clock.now_ms(), leased_until=0)


def put(connection: sa.Connection, events: Iterable[Event]) -> None:
    """Write events in the caller's transaction, so that they leave if and only if it commits."""
    rows = [{"id": ids.new_ulid(), **dataclasses.asdict(event)} for event in events]
    if rows:
        connection.execute(_PUT, rows)


def take(connection: sa.Connection, *, most: int) -> list[Outgoing]:
    """Lease the oldest events to this relay for 30 s; other relays pass them over."""
    outbox = tables.outbox
    now = clock.now_ms()
    free = (
        sa.select(outbox.c.id)
        .where(outbox.c.leased_until <= now)
        .order_by(outbox.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    rows = connection.execute(
        sa.update(outbox)
        .where(outbox.c.id.in_(sa.select(free.c.id)), outbox.c.leased_until <= now)
        .values(leased_until=now + _RELAY_LEASE_MS)
        .returning(outbox.c.id, outbox.c.tenant_id, outbox.c.type, outbox.c.subject, outbox.c.data, outbox.c.created_at)
    )
    return sorted((Outgoing(*row) for row in rows), key=lambda event: event.id)


def drop(connection: sa.Connection, ids_: Sequence[str]) -> None:
    """Remove events that the broker has confirmed."""
    if ids_:
        connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id.in_(ids_)))


def receive(connection: sa.Connection, message_id: str, *, tenant_id: str) -> bool:
    """Note a message in the effect's own transaction; False when its effect was there before."""
    statement = (
        database.insert(connection, tables.inbox)
        .values(message_id=message_id, tenant_id=tenant_id, received_at=clock.now_ms())
        .on_conflict_do_nothing()
        .returning(tables.inbox.c.message_id)
    )
    return connection.execute(statement).one_or_none() is not None
