"""Events between roles: written in the transaction of their effect, logged afterwards, received once."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids
from shared.jobs import stories, tables


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened, in the past tense: `job.succeeded` of the subject `training_01…`."""

    type: str
    subject: str
    tenant_id: str
    data: dict[str, Any]
    correlation_id: str | None = None
    """The id of the story that it belongs to; None: that on which the thread works, or else one of its own."""


@dataclasses.dataclass(frozen=True)
class OutgoingEvent:
    """An event that is to be logged, with the id by which a receiver recognizes a repeated delivery."""

    id: str
    tenant_id: str
    type: str
    subject: str
    data: dict[str, Any]
    created_at: int
    correlation_id: str


# Statements are built once: docs/decisions/statements.md, "Statements of the hot path are built once, and accepting
# takes one JSON array".
_PUT = sa.insert(tables.outbox).values(created_at=clock.now_ms(), leased_until=0)


def put(connection: sa.Connection, events: Iterable[Event]) -> None:
    """Write events in the caller's transaction, so that they are published if and only if it commits."""
    story = stories.current()
    rows = [
        {"id": ids.new_ulid(), **dataclasses.asdict(event), "correlation_id": event.correlation_id or story}
        for event in events
    ]
    if rows:
        connection.execute(_PUT, rows)


@functools.cache
def _read() -> sa.Select[Any]:
    outbox = tables.outbox
    columns = (outbox.c.id, outbox.c.tenant_id, outbox.c.type, outbox.c.subject, outbox.c.data, outbox.c.created_at)
    return (
        sa.select(*columns, outbox.c.correlation_id)
        .order_by(outbox.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def read(connection: sa.Connection, *, limit: int) -> list[OutgoingEvent]:
    """Read the oldest events; those of one subject stand in the order in which their effects were committed."""
    rows = connection.execute(_read(), {"limit": limit})
    return [_to_event(row) for row in rows]


def _to_event(row: Any) -> OutgoingEvent:
    return OutgoingEvent(
        id=row.id,
        tenant_id=row.tenant_id,
        type=row.type,
        subject=row.subject,
        data=row.data,
        created_at=row.created_at,
        correlation_id=row.correlation_id or row.id,
    )


def drop(connection: sa.Connection, event_ids: Sequence[str]) -> None:
    """Remove events that the event log has."""
    if event_ids:
        connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id.in_(event_ids)))


@functools.cache
def _read_ends() -> sa.Select[Any]:
    jobs = tables.jobs
    columns = (jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.state, jobs.c.attempt, jobs.c.finished_at)
    return (
        sa.select(*columns, jobs.c.correlation_id)
        .where(jobs.c.announce_after <= clock.now_ms_once())
        .order_by(jobs.c.announce_after)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def read_ends(connection: sa.Connection, *, limit: int) -> list[OutgoingEvent]:
    """Read the oldest ends of jobs that are not in the event log yet.

    They have no rows of their own: docs/decisions/statements.md, "A job's row is its own outbox".
    """
    rows = connection.execute(_read_ends(), {"limit": limit})
    return [_to_end_event(row) for row in rows]


def _to_end_event(row: Any) -> OutgoingEvent:
    data = {"job_id": row.id, "kind": row.kind, "state": row.state, "attempt": row.attempt}
    return OutgoingEvent(
        id=f"{row.id}.ended",
        tenant_id=row.tenant_id,
        type=f"job.{row.state}",
        subject=row.id,
        data=data,
        created_at=row.finished_at,
        correlation_id=row.correlation_id or row.id,
    )


def drop_ends(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Record that the event log has the ends of some jobs."""
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
