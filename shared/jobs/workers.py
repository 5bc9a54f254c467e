"""The registry of live workers: each renews its row with its beats.

See docs/decisions/workers.md, "There is no registry of workers in Redis".
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import owners, tables

_GONE_AFTER_BEATS = 3


@dataclasses.dataclass(frozen=True)
class Worker:
    """A worker's process group, as it announces itself."""

    id: str
    host: str
    pid: int
    concurrency: int
    busy: int
    """How many jobs it ran at its last beat, which other releases show; `count_busy` counts them now."""
    version: str


def announce(connection: sa.Connection, worker: Worker) -> None:
    """Write or renew a worker's row."""
    now = clock.now_ms()
    statement = database.insert(connection, tables.workers).values(**dataclasses.asdict(worker), since=now, seen_at=now)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[tables.workers.c.id], set_={"busy": statement.excluded.busy, "seen_at": now}
        )
    )


def withdraw(connection: sa.Connection, worker_id: str) -> None:
    """Remove a worker that stops."""
    connection.execute(sa.delete(tables.workers).where(tables.workers.c.id == worker_id))


def withdraw_host(connection: sa.Connection, host: str) -> None:
    """Remove all workers of a host, before its first one starts."""
    connection.execute(sa.delete(tables.workers).where(tables.workers.c.host == host))


def remove_gone(connection: sa.Connection, *, beat_seconds: float) -> None:
    """Remove workers that have not been seen for an hour, or for 100 beats if that is longer."""
    limit = clock.now_ms() - int(max(3600.0, beat_seconds * 100) * 1000)
    connection.execute(sa.delete(tables.workers).where(tables.workers.c.seen_at < limit))


def count_slots(connection: sa.Connection, *, beat_seconds: float) -> int:
    """Count the jobs that the live workers of a role can do at once."""
    return sum(worker.concurrency for worker in list_live(connection, beat_seconds=beat_seconds))


def count_busy(connection: sa.Connection) -> Callable[[str], int]:
    """Count the jobs that each worker of a role runs now; returns a function of the worker's id.

    The leases say so; what a worker has announced is up to a beat old.
    """
    held = connection.execute(sa.select(tables.jobs.c.lease_owner).where(tables.is_running)).scalars()
    counts = collections.Counter(owners.read_worker(owner) for owner in held if owner is not None)
    return lambda worker_id: counts[owners.abbreviate(worker_id.partition("/")[2])]


def list_live(connection: sa.Connection, *, beat_seconds: float) -> Sequence[sa.Row[Any]]:
    """List the workers seen within the last three beats, the oldest first."""
    limit = clock.now_ms() - int(_GONE_AFTER_BEATS * beat_seconds * 1000)
    return connection.execute(
        sa.select(tables.workers).where(tables.workers.c.seen_at >= limit).order_by(tables.workers.c.since)
    ).all()
