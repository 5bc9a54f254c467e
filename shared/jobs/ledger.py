"""The job row: accept, claim, beat, finish, sweep.

The row decides; brokers only ring. `attempt` is the fencing token: whoever writes the end of a job must
hold the attempt under which the row runs now. Every guard stands on a line of its own, and each has a
test that fails when the line is taken out.
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

DEADLINE = ("DeadlineExceededError", "The job ran past its deadline.")
_LEAST_PLACE = 9
"""The place in the queue of jobs without priority; greater priorities have smaller places."""

CANCELLED = ("JobCancelledError", "The job was cancelled.")
LOST = ("WorkerLostError", f"The job's worker was lost {MAX_LOST} times; it is not tried again by itself.")


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
    """What a worker holds after it has claimed a job."""

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
    """How often children have woken the job; see `shared.jobs.offspring`."""


@dataclasses.dataclass(frozen=True)
class Beat:
    """What a beat learns."""

    cancel_requested: bool
    expired: bool


@dataclasses.dataclass(frozen=True)
class Swept:
    """A job that the sweeper moved."""

    job_id: str
    tenant_id: str
    kind: str
    attempt: int
    state: State


@dataclasses.dataclass(frozen=True)
class Doorbell:
    """What is rung: only ids, and what the broker needs to carry them."""

    job_id: str
    kind: str
    priority: int = 0
    traceparent: str | None = None


# Written into the SQL, because a partial index serves no prepared statement that has its condition as a parameter.
_QUEUED: sa.ColumnElement[str] = sa.literal_column(f"'{State.QUEUED}'")
_RUNNING: sa.ColumnElement[str] = sa.literal_column(f"'{State.RUNNING}'")


# The statements of the hot path are built once: building one costs more than running it.


_GIVEN = tuple(field.name for field in dataclasses.fields(NewJob) if field.name != "deadline_seconds")


def _given(dialect: str) -> tuple[sa.FromClause, dict[str, sa.ColumnElement[Any]]]:
    """Unpack a JSON array of jobs in the database, so that the statement's text is the same for any number of them."""
    types = {name: jobs.c[name].type for name in (*_GIVEN, "place")} | {"deadline_ms": sa.BigInteger()}
    rows = sa.bindparam("rows", type_=tables.JSON)
    if dialect == "sqlite":
        each = sa.func.json_each(rows).table_valued("value")
        return each, {name: sa.func.json_extract(each.c.value, f"$.{name}", type_=kind) for name, kind in types.items()}
    columns = [sa.column(name, kind) for name, kind in types.items()]
    record = sa.func.jsonb_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)
    return record, dict(record.c)


@functools.cache
def _accepting(dialect: str) -> sa.sql.dml.ReturningInsert[Any]:
    now = clock.now_ms()
    source, given = _given(dialect)
    values = {
        **{name: given[name] for name in (*_GIVEN, "place")},
        "state": sa.literal(State.QUEUED),
        "version": sa.literal(1),
        "attempt": sa.literal(0),
        "lost": sa.literal(0),
        "cancel_requested": sa.literal(0),
        "run_after": now,
        "ring_after": now + sa.bindparam("ring_again_ms", type_=sa.BigInteger),
        "deadline_at": now + given["deadline_ms"],
        "created_at": now,
    }
    return (
        database.insert_for(dialect, jobs)
        # SQLite takes the ON of ON CONFLICT for a join's, unless a WHERE stands before it.
        .from_select(list(values), sa.select(*values.values()).select_from(source).where(sa.literal_column("1 = 1")))
        .on_conflict_do_nothing(
            index_elements=[jobs.c.tenant_id, jobs.c.kind, jobs.c.idempotency_key],
            index_where=jobs.c.idempotency_key.isnot(None),
        )
        .returning(jobs.c.id, jobs.c.created_at)
    )


def accept(connection: sa.Connection, new: Sequence[NewJob], *, ring_again_seconds: float) -> dict[str, int]:
    """Insert jobs; give `created_at` by id of those inserted (one whose idempotency key is taken is left out)."""
    # In one order, so that two batches with the same keys wait for each other instead of locking each other out.
    ordered = sorted(new, key=lambda job: (job.tenant_id, job.kind, job.idempotency_key or ""))
    rows = connection.execute(
        _accepting(connection.dialect.name),
        {"rows": [_row(job) for job in ordered], "ring_again_ms": int(ring_again_seconds * 1000)},
    )
    accepted: dict[str, int] = {row.id: row.created_at for row in rows}
    tags = [
        {"tenant_id": job.tenant_id, "tag": tag, "job_id": job.id}
        for job in new
        if job.id in accepted
        for tag in dict.fromkeys(job.tags)
    ]
    if tags:
        connection.execute(sa.insert(tables.job_tags), tags)
    return accepted


def _row(job: NewJob) -> dict[str, Any]:
    seconds = job.deadline_seconds
    return {name: getattr(job, name) for name in _GIVEN} | {
        "place": f"{_LEAST_PLACE - job.priority}_{ids.ulid_of(job.id)}",
        "deadline_ms": None if seconds is None else seconds * 1000,
    }


def _taken(now: sa.ColumnElement[int]) -> dict[str, Any]:
    """Give what a claim writes."""
    latest = now + sa.bindparam("run_ms", type_=sa.BigInteger)
    return {
        "state": State.RUNNING,
        "attempt": jobs.c.attempt + 1,
        "version": jobs.c.version + 1,
        "lease_owner": sa.bindparam("owner"),
        "lease_until": now + sa.bindparam("lease_ms", type_=sa.BigInteger),
        "started_at": sa.func.coalesce(jobs.c.started_at, now),
        "stop_at": sa.case((jobs.c.deadline_at < latest, jobs.c.deadline_at), else_=latest),
        # What a job has reported stays while it rests between turns, and goes when it begins anew.
        "progress_fraction": sa.case((jobs.c.turns > 0, jobs.c.progress_fraction), else_=None),
        "progress_message": sa.case((jobs.c.turns > 0, jobs.c.progress_message), else_=None),
    }


def _terms(owner: str, *, lease_seconds: float, max_run_seconds: float) -> dict[str, Any]:
    """Give the parameters of what a claim writes."""
    return {"owner": owner, "lease_ms": int(lease_seconds * 1000), "run_ms": int(max_run_seconds * 1000)}


_CLAIMED = (
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
        .values(_taken(now))
        .returning(*_CLAIMED)
    )


@functools.cache
def _claim_next() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    ready = (
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
            jobs.c.id.in_(sa.select(ready.c.id)),
            jobs.c.state == State.QUEUED,
        )
        .values(_taken(now))
        .returning(*_CLAIMED)
    )


def claim(
    connection: sa.Connection, job_id: str, *, owner: str, lease_seconds: float, max_run_seconds: float
) -> Claim | None:
    """Take a queued job for a worker; None when it is not there to be taken, which is harmless."""
    row = connection.execute(
        _claim(),
        {"job_id": job_id} | _terms(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one_or_none()
    return None if row is None else Claim(*row)


def claim_next(
    connection: sa.Connection, kinds: Sequence[str], *, owner: str, lease_seconds: float, max_run_seconds: float
) -> Claim | None:
    """Take the queued job that comes first, by priority and then by age; None when none is ready."""
    row = connection.execute(
        _claim_next(),
        {"kinds": list(kinds)} | _terms(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one_or_none()
    return None if row is None else Claim(*row)


def beat(connection: sa.Connection, job_id: str, *, attempt: int, lease_seconds: float) -> Beat | None:
    """Renew a lease; None means that the job is no longer this attempt's, and its work must stop."""
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
    return None if row is None else Beat(bool(row.cancel_requested), bool(row.expired))


def peek(connection: sa.Connection, job_id: str, *, attempt: int) -> Beat | None:
    """Learn what a beat would, without renewing the lease."""
    row = connection.execute(
        sa.select(jobs.c.cancel_requested, (jobs.c.stop_at <= clock.now_ms()).label("expired")).where(
            jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.state == State.RUNNING
        )
    ).one_or_none()
    return None if row is None else Beat(bool(row.cancel_requested), bool(row.expired))


def _text(text: str) -> str:
    """Replace what PostgreSQL can't store, NUL and lone surrogates, which users' data may bring into a message."""
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return readable.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _error(error: tuple[str, str]) -> tuple[str, str]:
    return _text(error[0])[:100], _text(error[1])


def report(connection: sa.Connection, job_id: str, *, attempt: int, fraction: float, message: str) -> bool:
    """Write a running job's progress; False when the job is no longer this attempt's."""
    result = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(progress_fraction=fraction, progress_message=_text(message)[:500], version=jobs.c.version + 1)
    )
    return result.rowcount == 1


@functools.cache
def _finish() -> sa.Update:
    end = sa.bindparam("end", type_=sa.String)
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == sa.bindparam("job_id"),
            jobs.c.attempt == sa.bindparam("held"),
            jobs.c.state == State.RUNNING,
        )
        .values(
            state=end,
            version=jobs.c.version + 1,
            result=sa.bindparam("answer", type_=tables.JSON),
            error_type=sa.bindparam("fault"),
            error_message=sa.bindparam("fault_message"),
            progress_fraction=sa.case((end == State.SUCCEEDED, 1.0), else_=jobs.c.progress_fraction),
            progress_message=sa.case((end == State.SUCCEEDED, None), else_=jobs.c.progress_message),
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
    """Write a running job's end; False means that another attempt has it, and the caller must roll back."""
    done = connection.execute(_finish(), _ended(job_id, attempt=attempt, state=state, result=result, error=error))
    return done.rowcount == 1


def _ended(
    job_id: str,
    *,
    attempt: int,
    state: State,
    result: Mapping[str, Any] | None,
    error: tuple[str, str] | None,
) -> dict[str, Any]:
    """Give the parameters of what an end writes."""
    fault, message = _error(error) if error else (None, None)
    return {
        "job_id": job_id,
        "held": attempt,
        "end": state,
        "answer": result,
        "fault": fault,
        "fault_message": message,
    }


@functools.cache
def _finish_and_claim_next() -> sa.Select[Any]:
    ended = _finish().returning(jobs.c.id).cte("ended")
    taken = _claim_next().cte("taken")
    always = sa.select(sa.select(sa.func.count()).select_from(ended).scalar_subquery().label("done")).subquery("always")
    return sa.select(always.c.done, *(taken.c[column.name] for column in _CLAIMED)).select_from(
        always.outerjoin(taken, sa.true())
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
    """Write a job's success and take the next job, as `finish` and `claim_next` do; on PostgreSQL in one statement.

    The next job is this worker's even when the first has turned out to be another attempt's.
    """
    if connection.dialect.name == "sqlite":
        done = finish(connection, job_id, attempt=attempt, state=State.SUCCEEDED, result=result)
        terms: dict[str, Any] = {"owner": owner, "lease_seconds": lease_seconds, "max_run_seconds": max_run_seconds}
        return done, claim_next(connection, kinds, **terms)
    row = connection.execute(
        _finish_and_claim_next(),
        _ended(job_id, attempt=attempt, state=State.SUCCEEDED, result=result, error=None)
        | {"kinds": list(kinds)}
        | _terms(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one()
    return row.done == 1, None if row.id is None else Claim(*row[1:])


def try_again(
    connection: sa.Connection, job_id: str, *, attempt: int, wait_seconds: float, error: tuple[str, str]
) -> bool:
    """Put a job that failed in a passing way back into the queue, to be claimed after `wait_seconds`."""
    run_after = clock.now_ms() + int(wait_seconds * 1000)
    error_type, error_message = _error(error)
    done = connection.execute(
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
    return done.rowcount == 1


def _ending(now: Any, *, lost: Any) -> dict[str, Any]:
    """Give what becomes of a running job that nobody works on: cancelled, failed, dead or queued again."""
    is_dead = lost >= MAX_LOST
    expired = jobs.c.stop_at <= now

    def choose(cancelled: Any, failed: Any, dead: Any, *, again: Any) -> Any:
        return sa.case((jobs.c.cancel_requested == 1, cancelled), (expired, failed), (is_dead, dead), else_=again)

    return {
        "state": choose(State.CANCELLED, State.FAILED, State.DEAD, again=State.QUEUED),
        "error_type": choose(CANCELLED[0], DEADLINE[0], LOST[0], again=jobs.c.error_type),
        "error_message": choose(CANCELLED[1], DEADLINE[1], LOST[1], again=jobs.c.error_message),
        "finished_at": choose(now, now, now, again=None),
        "announce_after": choose(now, now, now, again=None),
        "version": jobs.c.version + 1,
        "lost": lost,
        "run_after": now,
        "ring_after": now,
        "lease_owner": None,
        "lease_until": None,
    }


_SWEPT = (jobs.c.id, jobs.c.tenant_id, jobs.c.kind, jobs.c.attempt, jobs.c.state)


def _swept(rows: sa.CursorResult[Any]) -> list[Swept]:
    return [Swept(row.id, row.tenant_id, row.kind, row.attempt, State(row.state)) for row in rows]


def hand_back(connection: sa.Connection, job_id: str, *, attempt: int) -> list[Swept]:
    """End a job whose work was stopped from outside: cancelled or past its deadline, else queued again, not lost."""
    return _swept(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.attempt == attempt,
                jobs.c.state == State.RUNNING,
            )
            .values(**_ending(clock.now_ms(), lost=jobs.c.lost))
            .returning(*_SWEPT)
        )
    )


def expire(connection: sa.Connection, job_id: str, *, attempt: int) -> bool:
    """End a lease at once, because its process is known to be dead; the sweeper does the rest."""
    done = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            jobs.c.state == State.RUNNING,
        )
        .values(lease_until=clock.now_ms())
    )
    return done.rowcount == 1


def sweep(connection: sa.Connection) -> list[Swept]:
    """Move jobs whose lease has expired to queued, cancelled, failed or dead, in one statement."""
    now = clock.now_ms()
    return _swept(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.state == _RUNNING,
                jobs.c.lease_until <= clock.now_ms_once(),
            )
            .values(**_ending(now, lost=jobs.c.lost + 1))
            .returning(*_SWEPT)
        )
    )


def sweep_overdue(connection: sa.Connection) -> list[Swept]:
    """Fail queued jobs whose deadline has passed."""
    now = clock.now_ms()
    return _swept(
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
            .returning(*_SWEPT)
        )
    )


def forget_keys(connection: sa.Connection, *, older_than_seconds: float, most: int = 1000) -> int:
    """Free idempotency keys that have expired; gives how many."""
    old = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.idempotency_key.isnot(None),
            jobs.c.created_at <= clock.now_ms_once() - int(older_than_seconds * 1000),
        )
        .limit(most)
    )
    return connection.execute(sa.update(jobs).where(jobs.c.id.in_(old)).values(idempotency_key=None)).rowcount


@functools.cache
def _due_doorbells() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    due = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.state == _QUEUED,
            jobs.c.ring_after <= clock.now_ms_once(),
        )
        .order_by(jobs.c.ring_after)
        .limit(sa.bindparam("most", type_=sa.Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        sa.update(jobs)
        .where(
            jobs.c.id.in_(sa.select(due.c.id)),
            jobs.c.state == State.QUEUED,
            jobs.c.ring_after <= now,
        )
        .values(ring_after=now + sa.bindparam("again_ms", type_=sa.BigInteger))
        .returning(jobs.c.id, jobs.c.kind, jobs.c.priority, jobs.c.traceparent)
    )


def due_doorbells(connection: sa.Connection, *, again_seconds: float, most: int) -> list[Doorbell]:
    """Give queued jobs whose doorbell is due, and mark them rung; safe with any number of callers."""
    rows = connection.execute(_due_doorbells(), {"again_ms": int(again_seconds * 1000), "most": most})
    return [Doorbell(*row) for row in rows]


def _cancelling() -> dict[str, Any]:
    """Give what a cancellation writes: the end of a queued job, a flag for a running one."""
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


def cancel(connection: sa.Connection, job_id: str, *, tenant_id: str) -> Swept | None:
    """Cancel a queued job at once, flag a running one; None when it has ended or isn't there."""
    rows = _swept(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.tenant_id == tenant_id,
                jobs.c.state.in_([State.QUEUED, State.RUNNING]),
            )
            .values(**_cancelling())
            .returning(*_SWEPT)
        )
    )
    return rows[0] if rows else None


def cancel_all(connection: sa.Connection, job_ids: sa.Select[tuple[str]]) -> list[Swept]:
    """Cancel the jobs that a query names as `cancel` does, whoever's they are; gives those that had not ended."""
    return _swept(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id.in_(job_ids),
                jobs.c.state.in_([State.QUEUED, State.RUNNING]),
            )
            .values(**_cancelling())
            .returning(*_SWEPT)
        )
    )
