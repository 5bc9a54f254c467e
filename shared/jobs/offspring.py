"""Jobs that other jobs submit: a parent rests while its children work, and is woken by each one's end.

A parent holds no worker while it waits. It takes short turns: a turn looks at the children, may add some, and lays
the job back into the queue, from which the first child that ends takes it. `wakes` counts these ends, so that one
which comes while the parent is still in its turn is not overlooked: the parent then rests for no time at all.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock
from shared.jobs import ledger, tables
from shared.jobs.states import TERMINAL, State

jobs = tables.jobs


@dataclasses.dataclass(frozen=True)
class Child:
    """A job that another one has submitted, as its parent and its siblings see it."""

    id: str
    state: State
    attempt: int
    params: dict[str, Any]
    result: dict[str, Any] | None
    interim: dict[str, Any] | None
    error_type: str | None
    error_message: str | None


_SEEN = (
    jobs.c.id,
    jobs.c.state,
    jobs.c.attempt,
    jobs.c.params,
    jobs.c.result,
    jobs.c.interim,
    jobs.c.error_type,
    jobs.c.error_message,
)


def of(connection: sa.Connection, parent_id: str, *, tenant_id: str) -> list[Child]:
    """Read a job's children, the oldest first."""
    rows = connection.execute(
        sa.select(*_SEEN)
        .where(
            jobs.c.parent_id == parent_id,
            jobs.c.tenant_id == tenant_id,
        )
        .order_by(jobs.c.id)
    )
    return [Child(row.id, State(row.state), *row[2:]) for row in rows]


def retried(connection: sa.Connection, job_id: str, *, tenant_id: str) -> str | None:
    """Give the job that a job was a retry of; None when it was none."""
    found: str | None = connection.execute(
        sa.select(jobs.c.retry_of).where(
            jobs.c.id == job_id,
            jobs.c.tenant_id == tenant_id,
        )
    ).scalar()
    return found


def show(connection: sa.Connection, job_id: str, *, attempt: int, interim: dict[str, Any]) -> bool:
    """Write what a running job has found so far; False when the job is no longer this attempt's."""
    result = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(interim=interim, version=jobs.c.version + 1)
    )
    return result.rowcount == 1


def rest(
    connection: sa.Connection,
    job_id: str,
    *,
    attempt: int,
    wakes: int,
    wait_seconds: float,
    interim: dict[str, Any] | None,
) -> bool:
    """Lay a running job back into the queue until a child ends, or for `wait_seconds`; False when it may not rest.

    `wakes` is what the claim gave: when there have been more since, the job is ready at once.
    """
    now = clock.now_ms()
    ready = sa.case((jobs.c.wakes > wakes, now), else_=now + int(wait_seconds * 1000))
    done = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
            jobs.c.cancel_requested == 0,
        )
        .values(
            state=State.QUEUED,
            version=jobs.c.version + 1,
            turns=jobs.c.turns + 1,
            run_after=ready,
            ring_after=ready,
            interim=interim,
            # The turn went well: what an earlier one failed with is over.
            error_type=None,
            error_message=None,
            lease_owner=None,
            lease_until=None,
        )
    )
    return done.rowcount == 1


def wake(connection: sa.Connection, ended: Sequence[str]) -> None:
    """Tell the parents of jobs that have ended, in the transaction that ended them."""
    now = clock.now_ms()
    # One that failed in a passing way waits to be tried again, and not for its children.
    rests = jobs.c.error_type.is_(None)
    child = jobs.alias("child")
    parents = sa.select(child.c.parent_id).where(child.c.id.in_(ended))
    connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id.in_(parents),
            jobs.c.state.in_([State.QUEUED, State.RUNNING]),
        )
        .values(
            wakes=jobs.c.wakes + 1,
            run_after=sa.case((rests, now), else_=jobs.c.run_after),
            ring_after=sa.case((rests, now), else_=jobs.c.ring_after),
        )
    )


def wake_for(connection: sa.Connection, moved: Sequence[ledger.Swept]) -> None:
    """Tell the parents of those moved jobs that have ended."""
    ended = [job.job_id for job in moved if job.state.is_terminal()]
    if ended:
        wake(connection, ended)


def cancel_of(connection: sa.Connection, parent_id: str) -> list[ledger.Swept]:
    """Cancel what a job's children have not begun, and flag what they are doing."""
    return ledger.cancel_all(connection, sa.select(jobs.c.id).where(jobs.c.parent_id == parent_id))


def cancel_orphans(connection: sa.Connection) -> list[ledger.Swept]:
    """Do to the children of all jobs that have ended what `cancel_of` does to those of one."""
    parent, child = jobs.alias("parent"), jobs.alias("child")
    # As the index says it; it is small because it holds no other rows.
    unfinished: sa.ColumnElement[bool] = sa.literal_column(
        "child.parent_id IS NOT NULL AND child.state IN ('queued', 'running')"
    )
    orphans = (
        sa.select(child.c.id)
        .join(parent, parent.c.id == child.c.parent_id)
        .where(
            unfinished,
            child.c.cancel_requested == 0,
            parent.c.state.in_(sorted(TERMINAL)),
        )
    )
    return ledger.cancel_all(connection, orphans)
