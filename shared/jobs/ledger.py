"""The job row: accept, claim, beat, finish, sweep.

The row decides; brokers only carry doorbells. `attempt` is the fencing token: whoever writes the end of a job must
hold the attempt under which the row is running. Every guard is a line of its own, and each has a test that fails when
that line is removed. See docs/decisions/statements.md, "Statements are SQLAlchemy Core in plain functions, with each
guard on a line of its own", and docs/decisions/long-files.md, "The ledger is one file".
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids
from shared.jobs import tables
from shared.jobs.states import MAX_LOST, State

jobs = tables.jobs

# The error types and messages of ends that no worker writes.
DEADLINE = ("DeadlineExceededError", "The job ran past its deadline.")
CANCELLED = ("JobCancelledError", "The job was cancelled.")
LOST = ("WorkerLostError", f"The job's worker was lost {MAX_LOST} times; it is not retried automatically.")

_HIGHEST_PRIORITY = 9
"""A job's place in the queue begins with its distance from this priority, and the smallest place comes first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job as it is accepted."""

    id: str
    tenant_id: str
    kind: str
    params: Mapping[str, Any]
    pinned: Mapping[str, Any]
    submitted_by: str
    tries_left: int
    tags: Sequence[str] = ()
    priority: int = 0
    deadline_seconds: int | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    retry_of: str | None = None
    traceparent: str | None = None
    parent_id: str | None = None


@dataclasses.dataclass(frozen=True)
class Claim:
    """A job that a worker has claimed, with what the worker needs to run it."""

    job_id: str
    tenant_id: str
    kind: str
    attempt: int
    tries_left: int
    params: dict[str, Any]
    pinned: dict[str, Any]
    submitted_by: str
    traceparent: str | None
    priority: int = 0
    parent_id: str | None = None
    retry_of: str | None = None
    wakes: int = 0
    """How often children have woken the job when it was claimed; see `shared.jobs.offspring`."""


@dataclasses.dataclass(frozen=True)
class Beat:
    """What a worker reads of its running job when it beats: whether the job must stop."""

    cancel_requested: bool
    expired: bool


@dataclasses.dataclass(frozen=True)
class MovedJob:
    """A job that the sweeper, a cancellation or a stopped worker has changed, with its state afterwards."""

    job_id: str
    tenant_id: str
    kind: str
    attempt: int
    state: State


@dataclasses.dataclass(frozen=True)
class Doorbell:
    """A message that wakes a worker: only ids, and what the broker needs to deliver them."""

    job_id: str
    kind: str
    priority: int = 0
    traceparent: str | None = None


# Literals, because a prepared statement can't use a partial index whose condition is a parameter:
# docs/decisions/statements.md, "Times that are looked up in an index come from `now_ms_once()`, and states of partial
# indexes are literals".
_QUEUED: sa.ColumnElement[str] = sa.literal_column(f"'{State.QUEUED}'")
_RUNNING: sa.ColumnElement[str] = sa.literal_column(f"'{State.RUNNING}'")


# Each cached function builds one statement of the hot path: docs/decisions/statements.md, "Statements of the hot path
# are built once, and accepting takes one JSON array".


_NEW_JOB_COLUMNS = tuple(field.name for field in dataclasses.fields(NewJob) if field.name != "deadline_seconds")


def _unpack_new_jobs(dialect: str) -> tuple[sa.FromClause, dict[str, sa.ColumnElement[Any]]]:
    """Unpack a JSON array of jobs in the database: its rows, and their columns by name.

    So the statement's text is the same for any number of jobs.
    """
    types = {name: jobs.c[name].type for name in (*_NEW_JOB_COLUMNS, "place")} | {"deadline_ms": sa.BigInteger()}
    array = sa.bindparam("rows", type_=tables.JSON)
    if dialect == "sqlite":
        elements = sa.func.json_each(array).table_valued("value")
        return elements, {
            name: sa.func.json_extract(elements.c.value, f"$.{name}", type_=type_) for name, type_ in types.items()
        }
    columns = [sa.column(name, type_) for name, type_ in types.items()]
    records = sa.func.jsonb_to_recordset(array).table_valued(*columns, name="given").render_derived(with_types=True)
    return records, dict(records.c)


@functools.cache
def _accept(dialect: str) -> sa.sql.dml.ReturningInsert[Any]:
    now = clock.now_ms()
    new_jobs, columns = _unpack_new_jobs(dialect)
    values = {
        **{name: columns[name] for name in (*_NEW_JOB_COLUMNS, "place")},
        "state": sa.literal(State.QUEUED),
        "version": sa.literal(1),
        "attempt": sa.literal(0),
        "lost": sa.literal(0),
        "cancel_requested": sa.literal(0),
        "run_after": now,
        "ring_after": now + sa.bindparam("ring_again_ms", type_=sa.BigInteger),
        "deadline_at": now + columns["deadline_ms"],
        "created_at": now,
    }
    return (
        database.insert_for(dialect, jobs)
        # SQLite reads the ON of ON CONFLICT as a join's, unless a WHERE comes before it.
        .from_select(list(values), sa.select(*values.values()).select_from(new_jobs).where(sa.literal_column("1 = 1")))
        .on_conflict_do_nothing(
            index_elements=[jobs.c.tenant_id, jobs.c.kind, jobs.c.idempotency_key],
            index_where=jobs.c.idempotency_key.isnot(None),
        )
        .returning(jobs.c.id, jobs.c.created_at)
    )


def accept(connection: sa.Connection, new_jobs: Sequence[NewJob], *, ring_again_seconds: float) -> dict[str, int]:
    """Insert jobs, and return `created_at` by id; a job whose idempotency key is taken is left out."""
    # Always in the same order, so that two batches with the same keys wait for each other instead of deadlocking.
    ordered = sorted(new_jobs, key=lambda job: (job.tenant_id, job.kind, job.idempotency_key or ""))
    rows = connection.execute(
        _accept(connection.dialect.name),
        {"rows": [_row_of(job) for job in ordered], "ring_again_ms": int(ring_again_seconds * 1000)},
    )
    accepted: dict[str, int] = {row.id: row.created_at for row in rows}
    tags = [
        {"tenant_id": job.tenant_id, "tag": tag, "job_id": job.id}
        for job in new_jobs
        if job.id in accepted
        for tag in dict.fromkeys(job.tags)
    ]
    if tags:
        connection.execute(sa.insert(tables.job_tags), tags)
    return accepted


def _row_of(job: NewJob) -> dict[str, Any]:
    deadline_seconds = job.deadline_seconds
    return {name: getattr(job, name) for name in _NEW_JOB_COLUMNS} | {
        "place": f"{_HIGHEST_PRIORITY - job.priority}_{ids.ulid_of(job.id)}",
        "deadline_ms": None if deadline_seconds is None else deadline_seconds * 1000,
    }


def _claim_values(now: sa.ColumnElement[int]) -> dict[str, Any]:
    """Build what a claim writes into the row."""
    latest = now + sa.bindparam("run_ms", type_=sa.BigInteger)
    return {
        "state": State.RUNNING,
        "attempt": jobs.c.attempt + 1,
        "version": jobs.c.version + 1,
        "lease_owner": sa.bindparam("owner"),
        "lease_until": now + sa.bindparam("lease_ms", type_=sa.BigInteger),
        "started_at": sa.func.coalesce(jobs.c.started_at, now),
        "stop_at": sa.case((jobs.c.deadline_at < latest, jobs.c.deadline_at), else_=latest),
        # What a job has reported is kept while it rests between turns, and cleared when it starts over.
        "progress_fraction": sa.case((jobs.c.turns > 0, jobs.c.progress_fraction), else_=None),
        "progress_message": sa.case((jobs.c.turns > 0, jobs.c.progress_message), else_=None),
    }


def _claim_parameters(owner: str, *, lease_seconds: float, max_run_seconds: float) -> dict[str, Any]:
    """Convert the terms of a claim into the parameters of its statement."""
    return {"owner": owner, "lease_ms": int(lease_seconds * 1000), "run_ms": int(max_run_seconds * 1000)}


_CLAIM_COLUMNS = (
    jobs.c.id,
    jobs.c.tenant_id,
    jobs.c.kind,
    jobs.c.attempt,
    jobs.c.tries_left,
    jobs.c.params,
    jobs.c.pinned,
    jobs.c.submitted_by,
    jobs.c.traceparent,
    jobs.c.priority,
    jobs.c.parent_id,
    jobs.c.retry_of,
    jobs.c.wakes,
)


def _to_claim(row: sa.Row[Any]) -> Claim:
    return Claim(
        job_id=row.id,
        tenant_id=row.tenant_id,
        kind=row.kind,
        attempt=row.attempt,
        tries_left=row.tries_left,
        params=row.params,
        pinned=row.pinned,
        submitted_by=row.submitted_by,
        traceparent=row.traceparent,
        priority=row.priority,
        parent_id=row.parent_id,
        retry_of=row.retry_of,
        wakes=row.wakes,
    )


@functools.cache
def _claim() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == sa.bindparam("job_id"),
            jobs.c.state == State.QUEUED,
            jobs.c.run_after <= now,
            jobs.c.cancel_requested == 0,
            sa.or_(jobs.c.deadline_at.is_(None), jobs.c.deadline_at > now),
        )
        .values(_claim_values(now))
        .returning(*_CLAIM_COLUMNS)
    )


@functools.cache
def _claim_next() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    next_job = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.state == _QUEUED,
            jobs.c.run_after <= now,
            jobs.c.cancel_requested == 0,
            sa.or_(jobs.c.deadline_at.is_(None), jobs.c.deadline_at > now),
            jobs.c.kind.in_(sa.bindparam("kinds", expanding=True)),
        )
        .order_by(jobs.c.place)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    return (
        sa.update(jobs)
        .where(
            jobs.c.id.in_(sa.select(next_job.c.id)),
            jobs.c.state == State.QUEUED,
        )
        .values(_claim_values(now))
        .returning(*_CLAIM_COLUMNS)
    )


def claim(
    connection: sa.Connection, job_id: str, *, owner: str, lease_seconds: float, max_run_seconds: float
) -> Claim | None:
    """Claim a queued job for a worker; None when it can't be claimed (any more), which is harmless."""
    row = connection.execute(
        _claim(),
        {"job_id": job_id} | _claim_parameters(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one_or_none()
    return None if row is None else _to_claim(row)


def claim_next(
    connection: sa.Connection, kinds: Sequence[str], *, owner: str, lease_seconds: float, max_run_seconds: float
) -> Claim | None:
    """Claim the queued job that comes first, by priority and then by age; None when none is ready."""
    row = connection.execute(
        _claim_next(),
        {"kinds": list(kinds)} | _claim_parameters(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one_or_none()
    return None if row is None else _to_claim(row)


def beat(connection: sa.Connection, job_id: str, *, attempt: int, lease_seconds: float) -> Beat | None:
    """Renew a lease; None when the job no longer belongs to this attempt, whose work must then stop."""
    now = clock.now_ms()
    row = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(lease_until=now + int(lease_seconds * 1000))
        .returning(jobs.c.cancel_requested, (jobs.c.stop_at <= now).label("expired"))
    ).one_or_none()
    return None if row is None else Beat(cancel_requested=bool(row.cancel_requested), expired=bool(row.expired))


def peek(connection: sa.Connection, job_id: str, *, attempt: int) -> Beat | None:
    """Read what a beat reads, without renewing the lease."""
    row = connection.execute(
        sa.select(jobs.c.cancel_requested, (jobs.c.stop_at <= clock.now_ms()).label("expired")).where(
            jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.state == State.RUNNING
        )
    ).one_or_none()
    return None if row is None else Beat(cancel_requested=bool(row.cancel_requested), expired=bool(row.expired))


def _storable(text: str) -> str:
    """Replace NUL and lone surrogates, which users' data may bring into a message and PostgreSQL can't store."""
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return readable.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _storable_error(error: tuple[str, str]) -> tuple[str, str]:
    return _storable(error[0])[:100], _storable(error[1])


def report(connection: sa.Connection, job_id: str, *, attempt: int, fraction: float, message: str) -> bool:
    """Write a running job's progress; False when the job no longer belongs to this attempt."""
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(progress_fraction=fraction, progress_message=_storable(message)[:500], version=jobs.c.version + 1)
    )
    return updated.rowcount == 1


@functools.cache
def _finish() -> sa.Update:
    end_state = sa.bindparam("end_state", type_=sa.String)
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == sa.bindparam("job_id"),
            jobs.c.attempt == sa.bindparam("held_attempt"),
            jobs.c.state == State.RUNNING,
        )
        .values(
            state=end_state,
            version=jobs.c.version + 1,
            result=sa.bindparam("end_result", type_=tables.JSON),
            error_type=sa.bindparam("end_error_type"),
            error_message=sa.bindparam("end_error_message"),
            progress_fraction=sa.case((end_state == State.SUCCEEDED, 1.0), else_=jobs.c.progress_fraction),
            progress_message=sa.case((end_state == State.SUCCEEDED, None), else_=jobs.c.progress_message),
            finished_at=clock.now_ms(),
            announce_after=clock.now_ms(),
            lease_owner=None,
            lease_until=None,
        )
    )


def finish(
    connection: sa.Connection,
    job_id: str,
    *,
    attempt: int,
    state: State,
    result: Mapping[str, Any] | None = None,
    error: tuple[str, str] | None = None,
) -> bool:
    """Write a running job's end; False when another attempt has the job, and the caller must roll back."""
    parameters = _finish_parameters(job_id, attempt=attempt, state=state, result=result, error=error)
    updated = connection.execute(_finish(), parameters)
    return updated.rowcount == 1


def _finish_parameters(
    job_id: str,
    *,
    attempt: int,
    state: State,
    result: Mapping[str, Any] | None,
    error: tuple[str, str] | None,
) -> dict[str, Any]:
    """Convert a job's end into the parameters of its statement."""
    error_type, error_message = _storable_error(error) if error else (None, None)
    return {
        "job_id": job_id,
        "held_attempt": attempt,
        "end_state": state,
        "end_result": result,
        "end_error_type": error_type,
        "end_error_message": error_message,
    }


@functools.cache
def _finish_and_claim_next() -> sa.Select[Any]:
    finished = _finish().returning(jobs.c.id).cte("ended")
    claimed = _claim_next().cte("taken")
    # One row in any case: how many jobs were finished, beside the claimed job or nulls.
    count = sa.select(sa.func.count()).select_from(finished).scalar_subquery().label("done")
    outcome = sa.select(count).subquery("always")
    return sa.select(outcome.c.done, *(claimed.c[column.name] for column in _CLAIM_COLUMNS)).select_from(
        outcome.outerjoin(claimed, sa.true())
    )


def finish_and_claim_next(
    connection: sa.Connection,
    job_id: str,
    *,
    attempt: int,
    result: Mapping[str, Any],
    kinds: Sequence[str],
    owner: str,
    lease_seconds: float,
    max_run_seconds: float,
) -> tuple[bool, Claim | None]:
    """Write a job's success and claim the next job, as `finish` and `claim_next` do; on PostgreSQL in one statement.

    The next job is claimed even if the first one no longer belongs to this attempt. See docs/decisions/statements.md,
    "A job's end and the next claim are one statement on PostgreSQL".
    """
    if connection.dialect.name == "sqlite":
        is_finished = finish(connection, job_id, attempt=attempt, state=State.SUCCEEDED, result=result)
        terms: dict[str, Any] = {"owner": owner, "lease_seconds": lease_seconds, "max_run_seconds": max_run_seconds}
        return is_finished, claim_next(connection, kinds, **terms)
    row = connection.execute(
        _finish_and_claim_next(),
        _finish_parameters(job_id, attempt=attempt, state=State.SUCCEEDED, result=result, error=None)
        | {"kinds": list(kinds)}
        | _claim_parameters(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one()
    return row.done == 1, None if row.id is None else _to_claim(row)


def try_again(
    connection: sa.Connection, job_id: str, *, attempt: int, wait_seconds: float, error: tuple[str, str]
) -> bool:
    """Put a job with a temporary failure back into the queue, to be claimed after `wait_seconds`."""
    run_after = clock.now_ms() + int(wait_seconds * 1000)
    error_type, error_message = _storable_error(error)
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
            jobs.c.tries_left > 1,
            jobs.c.cancel_requested == 0,
        )
        .values(
            state=State.QUEUED,
            version=jobs.c.version + 1,
            tries_left=jobs.c.tries_left - 1,
            run_after=run_after,
            ring_after=run_after,
            error_type=error_type,
            error_message=error_message,
            lease_owner=None,
            lease_until=None,
        )
    )
    return updated.rowcount == 1


def _release_values(now: Any, *, lost: Any) -> dict[str, Any]:
    """Build what is written of a running job that nobody works on any more: cancelled, failed, dead or queued again."""
    is_dead = lost >= MAX_LOST
    expired = jobs.c.stop_at <= now

    def choose(cancelled: Any, failed: Any, dead: Any, *, otherwise: Any) -> Any:
        return sa.case((jobs.c.cancel_requested == 1, cancelled), (expired, failed), (is_dead, dead), else_=otherwise)

    return {
        "state": choose(State.CANCELLED, State.FAILED, State.DEAD, otherwise=State.QUEUED),
        "error_type": choose(CANCELLED[0], DEADLINE[0], LOST[0], otherwise=jobs.c.error_type),
        "error_message": choose(CANCELLED[1], DEADLINE[1], LOST[1], otherwise=jobs.c.error_message),
        "finished_at": choose(now, now, now, otherwise=None),
        "announce_after": choose(now, now, now, otherwise=None),
        "version": jobs.c.version + 1,
        "lost": lost,
        "run_after": now,
        "ring_after": now,
        "lease_owner": None,
        "lease_until": None,
    }


_MOVED_COLUMNS = (jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.attempt, jobs.c.state)


def _to_moved_jobs(rows: sa.CursorResult[Any]) -> list[MovedJob]:
    return [
        MovedJob(job_id=row.id, tenant_id=row.tenant_id, kind=row.kind, attempt=row.attempt, state=State(row.state))
        for row in rows
    ]


def hand_back(connection: sa.Connection, job_id: str, *, attempt: int) -> list[MovedJob]:
    """Release a job whose work was stopped: it ends if cancelled or past its deadline, else it is queued again.

    This is no loss of a worker, so `lost` stays as it is.
    """
    return _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.attempt == attempt,
                jobs.c.state == State.RUNNING,
            )
            .values(**_release_values(clock.now_ms(), lost=jobs.c.lost))
            .returning(*_MOVED_COLUMNS)
        )
    )


def expire_lease(connection: sa.Connection, job_id: str, *, attempt: int) -> bool:
    """End a lease at once, because its process is known to be dead; the sweeper then moves the job."""
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(lease_until=clock.now_ms())
    )
    return updated.rowcount == 1


def sweep(connection: sa.Connection) -> list[MovedJob]:
    """Move jobs whose lease has expired to queued, cancelled, failed or dead, in one statement."""
    now = clock.now_ms()
    return _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.state == _RUNNING,
                jobs.c.lease_until <= clock.now_ms_once(),
            )
            .values(**_release_values(now, lost=jobs.c.lost + 1))
            .returning(*_MOVED_COLUMNS)
        )
    )


def sweep_overdue(connection: sa.Connection) -> list[MovedJob]:
    """Fail queued jobs whose deadline has passed."""
    now = clock.now_ms()
    return _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.state == _QUEUED,
                jobs.c.deadline_at <= clock.now_ms_once(),
            )
            .values(
                state=State.FAILED,
                version=jobs.c.version + 1,
                error_type=DEADLINE[0],
                error_message=DEADLINE[1],
                finished_at=now,
                announce_after=now,
            )
            .returning(*_MOVED_COLUMNS)
        )
    )


def free_idempotency_keys(connection: sa.Connection, *, older_than_seconds: float, limit: int = 1000) -> int:
    """Free idempotency keys that have expired, and count them."""
    expired = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.idempotency_key.isnot(None),
            jobs.c.created_at <= clock.now_ms_once() - int(older_than_seconds * 1000),
        )
        .limit(limit)
    )
    return connection.execute(sa.update(jobs).where(jobs.c.id.in_(expired)).values(idempotency_key=None)).rowcount


@functools.cache
def _take_due_doorbells() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    due_jobs = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.state == _QUEUED,
            jobs.c.ring_after <= clock.now_ms_once(),
        )
        .order_by(jobs.c.ring_after)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        sa.update(jobs)
        .where(
            jobs.c.id.in_(sa.select(due_jobs.c.id)),
            jobs.c.state == State.QUEUED,
            jobs.c.ring_after <= now,
        )
        .values(ring_after=now + sa.bindparam("again_ms", type_=sa.BigInteger))
        .returning(jobs.c.id, jobs.c.kind, jobs.c.priority, jobs.c.traceparent)
    )


def take_due_doorbells(connection: sa.Connection, *, again_seconds: float, limit: int) -> list[Doorbell]:
    """Mark doorbells that are due as rung, and return them to be rung; safe with any number of callers."""
    rows = connection.execute(_take_due_doorbells(), {"again_ms": int(again_seconds * 1000), "limit": limit})
    return [Doorbell(job_id=row.id, kind=row.kind, priority=row.priority, traceparent=row.traceparent) for row in rows]


def _cancel_values() -> dict[str, Any]:
    """Build what a cancellation writes: the end of a queued job, a flag for a running one."""
    now = clock.now_ms()
    is_queued = jobs.c.state == State.QUEUED
    return {
        "state": sa.case((is_queued, State.CANCELLED), else_=jobs.c.state),
        "cancel_requested": 1,
        "finished_at": sa.case((is_queued, now), else_=None),
        "announce_after": sa.case((is_queued, now), else_=None),
        "error_type": sa.case((is_queued, CANCELLED[0]), else_=jobs.c.error_type),
        "error_message": sa.case((is_queued, CANCELLED[1]), else_=jobs.c.error_message),
        "version": jobs.c.version + 1,
    }


def cancel(connection: sa.Connection, job_id: str, *, tenant_id: str) -> MovedJob | None:
    """Cancel a queued job at once, or flag a running one; None when it has ended or doesn't exist."""
    rows = _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.tenant_id == tenant_id,
                jobs.c.state.in_([State.QUEUED, State.RUNNING]),
            )
            .values(**_cancel_values())
            .returning(*_MOVED_COLUMNS)
        )
    )
    return rows[0] if rows else None


def cancel_all(connection: sa.Connection, job_ids: sa.Select[tuple[str]]) -> list[MovedJob]:
    """Cancel the jobs that a query selects, of any tenant, as `cancel` does; return those that had not ended."""
    return _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id.in_(job_ids),
                jobs.c.state.in_([State.QUEUED, State.RUNNING]),
            )
            .values(**_cancel_values())
            .returning(*_MOVED_COLUMNS)
        )
    )
