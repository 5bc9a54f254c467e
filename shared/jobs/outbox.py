"""Events between roles: written in the transaction of their effect, relayed afterwards, received once."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids
from shared.jobs import tables

_RELAY_LEASE_MS = 30_000


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened, in the past tense: `job.succeeded` of the subject `training_01…`."""

    type: str
    subject: str
    tenant_id: str
    data: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class OutgoingEvent:
    """An event that is to be published, with the id by which a receiver recognizes a repeated delivery."""

    id: str
    tenant_id: str
    type: str
    subject: str
    data: dict[str, Any]
    created_at: int


# Statements are built once: docs/decisions/statements.md, "Statements of the hot path are built once, and accepting
# takes one JSON array".
_PUT = sa.insert(tables.outbox).values(created_at=clock.now_ms(), leased_until=0)


def put(connection: sa.Connection, events: Iterable[Event]) -> None:
    """Write events in the caller's transaction, so that they are published if and only if it commits."""
    rows = [{"id": ids.new_ulid(), **dataclasses.asdict(event)} for event in events]
    if rows:
        connection.execute(_PUT, rows)


@functools.cache
def _take() -> sa.sql.dml.ReturningUpdate[Any]:
    outbox = tables.outbox
    now = clock.now_ms()
    free_events = (
        sa.select(outbox.c.id)
        .where(outbox.c.leased_until <= now)
        .order_by(outbox.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    return (
        sa.update(outbox)
        .where(outbox.c.id.in_(sa.select(free_events.c.id)), outbox.c.leased_until <= now)
        .values(leased_until=now + _RELAY_LEASE_MS)
        .returning(outbox.c.id, outbox.c.tenant_id, outbox.c.type, outbox.c.subject, outbox.c.data, outbox.c.created_at)
    )


def take(connection: sa.Connection, *, limit: int) -> list[OutgoingEvent]:
    """Lease the oldest events to this relay for 30 s; other relays skip them."""
    rows = connection.execute(_take(), {"limit": limit})
    return sorted((_to_event(row) for row in rows), key=lambda event: event.id)


def _to_event(row: Any) -> OutgoingEvent:
    return OutgoingEvent(
        id=row.id,
        tenant_id=row.tenant_id,
        type=row.type,
        subject=row.subject,
        data=row.data,
        created_at=row.created_at,
    )


def drop(connection: sa.Connection, event_ids: Sequence[str]) -> None:
    """Remove events that the broker has confirmed."""
    if event_ids:
        connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id.in_(event_ids)))


@functools.cache
def _take_ends() -> sa.sql.dml.ReturningUpdate[Any]:
    jobs = tables.jobs
    now = clock.now_ms()
    due_ends = (
        sa.select(jobs.c.id)
        .where(jobs.c.announce_after <= clock.now_ms_once())
        .order_by(jobs.c.announce_after)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(due_ends.c.id)), jobs.c.announce_after <= now)
        .values(announce_after=now + _RELAY_LEASE_MS)
        .returning(jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.state, jobs.c.attempt, jobs.c.finished_at)
    )


def take_ends(connection: sa.Connection, *, limit: int) -> list[OutgoingEvent]:
    """Lease the ends of jobs that have not been published yet, for 30 s.

    They have no rows of their own: docs/decisions/statements.md, "A job's row is its own outbox".
    """
    rows = connection.execute(_take_ends(), {"limit": limit})
    return sorted((_to_end_event(row) for row in rows), key=lambda event: event.created_at)


def _to_end_event(row: Any) -> OutgoingEvent:
    data = {"job_id": row.id, "kind": row.kind, "state": row.state, "attempt": row.attempt}
    return OutgoingEvent(
        id=f"{row.id}.ended",
        tenant_id=row.tenant_id,
        type=f"job.{row.state}",
        subject=row.id,
        data=data,
        created_at=row.finished_at,
    )


def drop_ends(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Record that the broker has confirmed the ends of some jobs."""
    if job_ids:
        jobs = tables.jobs
        connection.execute(sa.update(jobs).where(jobs.c.id.in_(job_ids)).values(announce_after=None))


def receive(connection: sa.Connection, message_id: str, *, tenant_id: str) -> bool:
    """Record a message in the transaction of its effect; False when it was received before."""
    statement = (
        database.insert(connection, tables.inbox)
        .values(message_id=message_id, tenant_id=tenant_id, received_at=clock.now_ms())
        .on_conflict_do_nothing()
        .returning(tables.inbox.c.message_id)
    )
    return connection.execute(statement).one_or_none() is not None
