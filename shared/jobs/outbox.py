"""Events between roles: written with the effect, relayed afterwards, received once."""

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
class Outgoing:
    """An event on its way out, with the id by which a receiver knows it again."""

    id: str
    tenant_id: str
    type: str
    subject: str
    data: dict[str, Any]
    created_at: int


# Statements are built once: building one costs more than running it.
_PUT = sa.insert(tables.outbox).values(created_at=clock.now_ms(), leased_until=0)


def put(connection: sa.Connection, events: Iterable[Event]) -> None:
    """Write events in the caller's transaction, so that they leave if and only if it commits."""
    rows = [{"id": ids.new_ulid(), **dataclasses.asdict(event)} for event in events]
    if rows:
        connection.execute(_PUT, rows)


@functools.cache
def _take() -> sa.sql.dml.ReturningUpdate[Any]:
    outbox = tables.outbox
    now = clock.now_ms()
    free = (
        sa.select(outbox.c.id)
        .where(outbox.c.leased_until <= now)
        .order_by(outbox.c.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    return (
        sa.update(outbox)
        .where(outbox.c.id.in_(sa.select(free.c.id)), outbox.c.leased_until <= now)
        .values(leased_until=now + _RELAY_LEASE_MS)
        .returning(outbox.c.id, outbox.c.tenant_id, outbox.c.type, outbox.c.subject, outbox.c.data, outbox.c.created_at)
    )


def take(connection: sa.Connection, *, most: int) -> list[Outgoing]:
    """Lease the oldest events to this relay for 30 s; other relays pass them over."""
    rows = connection.execute(_take(), {"most": most})
    return sorted((Outgoing(*row) for row in rows), key=lambda event: event.id)


def drop(connection: sa.Connection, ids_: Sequence[str]) -> None:
    """Remove events that the broker has confirmed."""
    if ids_:
        connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id.in_(ids_)))


@functools.cache
def _take_ends() -> sa.sql.dml.ReturningUpdate[Any]:
    jobs = tables.jobs
    now = clock.now_ms()
    due = (
        sa.select(jobs.c.id)
        .where(jobs.c.announce_after <= clock.now_ms_once())
        .order_by(jobs.c.announce_after)
        .limit(sa.bindparam("most", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(sa.select(due.c.id)), jobs.c.announce_after <= now)
        .values(announce_after=now + _RELAY_LEASE_MS)
        .returning(jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.state, jobs.c.attempt, jobs.c.finished_at)
    )


def take_ends(connection: sa.Connection, *, most: int) -> list[Outgoing]:
    """Lease the ends of jobs that nobody was told of: a job's row is its own outbox, and an end one statement."""
    rows = connection.execute(_take_ends(), {"most": most})
    return sorted((_job_ended(row) for row in rows), key=lambda event: event.created_at)


def _job_ended(row: Any) -> Outgoing:
    data = {"job_id": row.id, "kind": row.kind, "state": row.state, "attempt": row.attempt}
    return Outgoing(f"{row.id}.ended", row.tenant_id, f"job.{row.state}", row.id, data, row.finished_at)


def drop_ends(connection: sa.Connection, job_ids: Sequence[str]) -> None:
    """Note that the broker has confirmed the ends of some jobs."""
    if job_ids:
        jobs = tables.jobs
        connection.execute(sa.update(jobs).where(jobs.c.id.in_(job_ids)).values(announce_after=None))


def receive(connection: sa.Connection, message_id: str, *, tenant_id: str) -> bool:
    """Note a message in the effect's own transaction; False when its effect was there before."""
    statement = (
        database.insert(connection, tables.inbox)
        .values(message_id=message_id, tenant_id=tenant_id, received_at=clock.now_ms())
        .on_conflict_do_nothing()
        .returning(tables.inbox.c.message_id)
    )
    return connection.execute(statement).one_or_none() is not None
