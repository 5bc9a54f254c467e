"""Jobs that other jobs submit: a parent rests while its children work, and is woken by each one's end.

A parent holds no worker while it waits. It takes short turns: a turn looks at the children, may add some, and puts
the job back into the queue, where the next child that ends makes it ready again. `wakes` counts these ends, so that an
end during the parent's turn is not overlooked: the parent is then ready again at once. See docs/decisions/jobs.md, "A
parent rests in the queue; it holds no worker while its children work".
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
    """A job that another job submitted, as its parent and its siblings see it."""

    id: str
    state: State
    attempt: int
    params: dict[str, Any]
    result: dict[str, Any] | None
    interim: dict[str, Any] | None
    error_type: str | None
    error_message: str | None


_CHILD_COLUMNS = (
    jobs.c.id,
    jobs.c.state,
    jobs.c.attempt,
    jobs.c.params,
    jobs.c.result,
    jobs.c.interim,
    jobs.c.error_type,
    jobs.c.error_message,
)


def read_children(connection: sa.Connection, parent_id: str, *, tenant_id: str) -> list[Child]:
    """Read a job's children, the oldest first."""
    rows = connection.execute(
        sa.select(*_CHILD_COLUMNS)
        .where(
            jobs.c.parent_id == parent_id,
            jobs.c.tenant_id == tenant_id,
        )
        .order_by(jobs.c.id)
    )
    return [
        Child(
            id=row.id,
            state=State(row.state),
            attempt=row.attempt,
            params=row.params,
            result=row.result,
            interim=row.interim,
            error_type=row.error_type,
            error_message=row.error_message,
        )
        for row in rows
    ]


def find_retried_job(connection: sa.Connection, job_id: str, *, tenant_id: str) -> str | None:
    """Read which job a job retries; None when it is no retry."""
    retried_id: str | None = connection.execute(
        sa.select(jobs.c.retry_of).where(
            jobs.c.id == job_id,
            tables.owned_by(tenant_id),
        )
    ).scalar()
    return retried_id


def write_interim(connection: sa.Connection, job_id: str, *, attempt: int, interim: dict[str, Any]) -> bool:
    """Write what a running job has found so far; False when the job no longer belongs to this attempt."""
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
        )
        .values(interim=interim, version=jobs.c.version + 1)
    )
    return updated.rowcount == 1


def rest(
    connection: sa.Connection,
    job_id: str,
    *,
    attempt: int,
    wakes: int,
    wait_seconds: float,
    interim: dict[str, Any] | None,
    tries: int | None = None,
) -> bool:
    """Put a running job back into the queue until a child ends, or for `wait_seconds`; False when it may not rest.

    `wakes` is the claim's count: if children have woken the job since, it is ready at once. `tries` is how often its
    next turn may be tried; None: as often as is left.
    """
    now = clock.now_ms()
    ready_at = sa.case((jobs.c.wakes > wakes, now), else_=now + int(wait_seconds * 1000))
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
            jobs.c.cancel_requested == 0,
        )
        .values(
            state=State.QUEUED,
            version=jobs.c.version + 1,
            turns=jobs.c.turns + 1,
            run_after=ready_at,
            ring_after=ready_at,
            interim=interim,
            # The turn succeeded, so the errors and the losses of earlier ones no longer count.
            error_type=None,
            error_message=None,
            lost=0,
            **({} if tries is None else {"tries_left": tries}),
            lease_owner=None,
            lease_until=None,
        )
    )
    return updated.rowcount == 1


def wake_parents(connection: sa.Connection, ended_ids: Sequence[str]) -> None:
    """Wake the parents of jobs that have ended, in the transaction that ended them."""
    now = clock.now_ms()
    # A parent with a temporary failure waits to be tried again, not for its children.
    is_resting = jobs.c.error_type.is_(None)
    child = jobs.alias("child")
    # Compared as they are, PostgreSQL would know that parents are not null, and might read the index of all children.
    parents = sa.select(sa.func.coalesce(child.c.parent_id, "")).where(child.c.id.in_(ended_ids))
    connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id.in_(parents),
            tables.still(State.QUEUED, State.RUNNING),
        )
        .values(
            wakes=jobs.c.wakes + 1,
            run_after=sa.case((is_resting, now), else_=jobs.c.run_after),
            ring_after=sa.case((is_resting, now), else_=jobs.c.ring_after),
        )
    )


def wake_parents_of_ended(connection: sa.Connection, moved: Sequence[ledger.MovedJob]) -> None:
    """Wake the parents of those moved jobs that have ended."""
    ended_ids = [job.job_id for job in moved if job.state.is_terminal()]
    if ended_ids:
        wake_parents(connection, ended_ids)


def cancel_children(connection: sa.Connection, parent_id: str) -> list[ledger.MovedJob]:
    """Cancel a job's queued children at once, and flag the running ones."""
    return ledger.cancel_all(connection, sa.select(jobs.c.id).where(jobs.c.parent_id == parent_id))


def cancel_orphans(connection: sa.Connection) -> list[ledger.MovedJob]:
    """Cancel the unfinished children of all jobs that have ended, as `cancel_children` does for one parent."""
    parent, child = jobs.alias("parent"), jobs.alias("child")
    # The condition of the partial index word for word; the index is small because it holds no other rows.
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
