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

from shared import clock, contract, database, storable
from shared.jobs import json_rows, places, references, tables
from shared.jobs.states import MAX_LOST, State

jobs = tables.jobs

# The error types and messages of ends that no worker writes.
DEADLINE = ("DeadlineExceededError", "The job ran past its deadline.")
CANCELLED = ("JobCancelledError", "The job was cancelled.")
LOST = ("WorkerLostError", f"The job's worker was lost {MAX_LOST} times; it is not retried automatically.")


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
    correlation_id: str | None = None
    """The id of the story that it belongs to, such as its parent's; None: one of its own, which is its id."""
    makes: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    """By type, the names of models and datasets that it may make a version of."""


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
    lost: int = 0
    """How many workers have been lost with it."""
    correlation_id: str | None = None
    """The id of its story; None: one of its own."""
    turns: int = 0
    """After how many of its claims it rested, which therefore count as no attempts."""

    @property
    def story_id(self) -> str:
        """The id of its story."""
        return self.correlation_id or self.job_id


@dataclasses.dataclass(frozen=True)
class Held:
    """A job that a worker holds, and the attempt under which it does."""

    job_id: str
    attempt: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class End:
    """How a running job ends."""

    held: Held
    state: State
    result: Mapping[str, Any] | None = None
    error: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Beat:
    """What a worker reads of its running job when it beats: whether the job must stop."""

    cancel_requested: bool
    expired: bool


@dataclasses.dataclass(frozen=True)
class Lease:
    """A running job's lease: which attempt holds it, and which process."""

    job_id: str
    attempt: int
    owner: str


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
# So is a limit of one: where it is a parameter, a prepared plan is made for a tenth of the queue, and PostgreSQL would
# rather plan each claim anew.
_ONE: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)


# Each cached function builds one statement of the hot path: docs/decisions/statements.md, "Statements of the hot path
# are built once, and accepting takes one JSON array".


_NO_COLUMNS = {"deadline_seconds", "makes"}
_NEW_JOB_COLUMNS = tuple(field.name for field in dataclasses.fields(NewJob) if field.name not in _NO_COLUMNS)


@functools.cache
def _accept(dialect: str) -> sa.sql.dml.ReturningInsert[Any]:
    now = clock.now_ms()
    types = {name: jobs.c[name].type for name in _NEW_JOB_COLUMNS} | places.JOB_TYPES
    new_jobs, columns = json_rows.unpack(dialect, "rows", types | {"deadline_ms": sa.BigInteger()})
    starts = places.starts(*json_rows.unpack(dialect, "flows", places.FLOW_TYPES))
    values = {
        **{name: columns[name] for name in _NEW_JOB_COLUMNS},
        "place": places.place(starts, columns),
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
    placing, flows = places.prepare(ordered)
    rows = connection.execute(
        _accept(connection.dialect.name),
        {
            "rows": [_row_of(job) | placing[job.id] for job in ordered],
            "flows": flows,
            "ring_again_ms": int(ring_again_seconds * 1000),
        },
    )
    accepted: dict[str, int] = {row.id: row.created_at for row in rows}
    tags = [
        {"tenant_id": job.tenant_id, "tag": tag, "job_id": job.id}
        for job in new_jobs
        if job.id in accepted
        for tag in dict.fromkeys([*job.tags, *_list_references(job)])
    ]
    if tags:
        connection.execute(sa.insert(tables.job_tags), tags)
    return accepted


def _list_references(job: NewJob) -> list[str]:
    """List the tags of what a job names; a child names what its parent does."""
    return [] if job.parent_id is not None else references.list_tags(job.pinned, job.makes)


def _row_of(job: NewJob) -> dict[str, Any]:
    deadline_seconds = job.deadline_seconds
    return {name: getattr(job, name) for name in _NEW_JOB_COLUMNS} | {
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
    jobs.c.lost,
    jobs.c.correlation_id,
    jobs.c.turns,
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
        lost=row.lost,
        correlation_id=row.correlation_id,
        turns=row.turns,
    )


@functools.cache
def _claim() -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == sa.bindparam("job_id"),
            tables.still(State.QUEUED),
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
        .limit(_ONE)
        .with_for_update(skip_locked=True)
        .cte("ready")
    )
    return (
        sa.update(jobs)
        .where(
            jobs.c.id.in_(sa.select(next_job.c.id)),
            tables.still(State.QUEUED),
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
    """Claim the queued job that comes first, as `shared.jobs.places` orders them; None when none is ready."""
    row = connection.execute(
        _claim_next(),
        {"kinds": list(kinds)} | _claim_parameters(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).one_or_none()
    return None if row is None else _to_claim(row)


# All that is asked of jobs ahead is read with them: asked by their ids, an index might find all jobs of the kind.
_LOOKED_AT = (
    jobs.c.id,
    jobs.c.place,
    jobs.c.pinned,
    jobs.c.kind,
    jobs.c.tenant_id,
    jobs.c.cancel_requested,
    jobs.c.lost,
    jobs.c.parent_id,
    jobs.c.deadline_at,
)


@functools.cache
def _claim_alike(gathering: contract.Gathering) -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    ahead = (
        sa.select(*_LOOKED_AT)
        .where(
            jobs.c.state == _QUEUED,
            jobs.c.run_after <= now,
        )
        .order_by(jobs.c.place)
        .limit(sa.literal_column(str(gathering.max_ahead), sa.Integer))
        .cte("ahead")
    )
    alike = (
        sa.select(ahead.c.id, ahead.c.place, ahead.c.pinned[gathering.size].as_integer().label("size"))
        .where(
            ahead.c.kind == sa.bindparam("first_kind"),
            ahead.c.tenant_id == sa.bindparam("first_tenant"),
            ahead.c.pinned[gathering.alike].as_string() == sa.bindparam("alike"),
            ahead.c.cancel_requested == 0,
            ahead.c.lost == 0,
            ahead.c.parent_id.is_(None),
            sa.or_(ahead.c.deadline_at.is_(None), ahead.c.deadline_at > now),
        )
        .cte("alike")
    )
    in_order: dict[str, Any] = {"order_by": alike.c.place}
    so_far = sa.func.sum(alike.c.size).over(**in_order).label("so_far")
    summed = sa.select(alike.c.id, sa.func.row_number().over(**in_order).label("number"), so_far).cte("summed")
    fitting = sa.select(summed.c.id).where(
        summed.c.number <= sa.bindparam("most", type_=sa.Integer),
        summed.c.so_far <= sa.bindparam("room", type_=sa.BigInteger),
    )
    locked = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.id.in_(fitting),
            tables.still(State.QUEUED),
        )
        .with_for_update(skip_locked=True)
        .cte("locked")
    )
    return (
        sa.update(jobs)
        .where(
            jobs.c.id.in_(sa.select(locked.c.id)),
        )
        .values(_claim_values(now))
        .returning(*_CLAIM_COLUMNS, jobs.c.place)
    )


def claim_alike(
    connection: sa.Connection,
    first: Claim,
    gathering: contract.Gathering,
    *,
    owner: str,
    lease_seconds: float,
    max_run_seconds: float,
) -> list[Claim]:
    """Claim further jobs that may be done together with a claimed one, in the order of the queue.

    Only the first jobs of the queue are looked at, so that a long queue of others costs nothing. Jobs with which a
    worker was lost are left out, because they may be why, and children, whose ends wake their parents.
    """
    rows = connection.execute(
        _claim_alike(gathering),
        {
            "first_kind": first.kind,
            "first_tenant": first.tenant_id,
            "alike": first.pinned[gathering.alike],
            "room": gathering.max_size - first.pinned[gathering.size],
            "most": gathering.max_jobs - 1,
        }
        | _claim_parameters(owner, lease_seconds=lease_seconds, max_run_seconds=max_run_seconds),
    ).all()
    return [_to_claim(row) for row in sorted(rows, key=lambda row: row.place)]


def beat(connection: sa.Connection, job_id: str, *, attempt: int, lease_seconds: float) -> Beat | None:
    """Renew a lease; None when the job no longer belongs to this attempt, whose work must then stop."""
    now = clock.now_ms()
    row = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
        )
        .values(lease_until=now + int(lease_seconds * 1000))
        .returning(jobs.c.cancel_requested, (jobs.c.stop_at <= now).label("expired"))
    ).one_or_none()
    return None if row is None else Beat(cancel_requested=bool(row.cancel_requested), expired=bool(row.expired))


def peek(connection: sa.Connection, job_id: str, *, attempt: int) -> Beat | None:
    """Read what a beat reads, without renewing the lease."""
    row = connection.execute(
        sa.select(jobs.c.cancel_requested, (jobs.c.stop_at <= clock.now_ms()).label("expired")).where(
            jobs.c.id == job_id, jobs.c.attempt == attempt, tables.still(State.RUNNING)
        )
    ).one_or_none()
    return None if row is None else Beat(cancel_requested=bool(row.cancel_requested), expired=bool(row.expired))


_HELD_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {"job_id": sa.String(64), "attempt": sa.Integer()}


def _to_rows(held: Sequence[Held]) -> list[dict[str, Any]]:
    return [{"job_id": each.job_id, "attempt": each.attempt} for each in held]


def _merge_beats(rows: Sequence[sa.Row[Any]], *, held: int) -> Beat | None:
    """Merge what was read of jobs that are done together; None when one of them is held no more."""
    if len(rows) < held:
        return None
    return Beat(
        cancel_requested=any(row.cancel_requested for row in rows), expired=any(bool(row.expired) for row in rows)
    )


def beat_all(connection: sa.Connection, held: Sequence[Held], *, lease_seconds: float) -> Beat | None:
    """Renew the leases of jobs that are done together; None when one no longer belongs to its attempt.

    The others then go back into the queue with it: what is done together is stopped together.
    """
    now = clock.now_ms()
    _, columns = json_rows.unpack(connection.dialect.name, "held", _HELD_TYPES)
    rows = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == columns["job_id"],
            jobs.c.attempt == columns["attempt"],
            tables.still(State.RUNNING),
        )
        .values(lease_until=now + int(lease_seconds * 1000))
        .returning(jobs.c.cancel_requested, (jobs.c.stop_at <= now).label("expired")),
        {"held": _to_rows(held)},
    ).all()
    return _merge_beats(rows, held=len(held))


def peek_all(connection: sa.Connection, held: Sequence[Held]) -> Beat | None:
    """Read what `beat_all` reads, without renewing the leases."""
    given, columns = json_rows.unpack(connection.dialect.name, "held", _HELD_TYPES)
    rows = connection.execute(
        sa.select(jobs.c.cancel_requested, (jobs.c.stop_at <= clock.now_ms()).label("expired"))
        .select_from(jobs, given)
        .where(
            jobs.c.id == columns["job_id"],
            jobs.c.attempt == columns["attempt"],
            tables.still(State.RUNNING),
        ),
        {"held": _to_rows(held)},
    ).all()
    return _merge_beats(rows, held=len(held))


def _storable_error(error: tuple[str, str]) -> tuple[str, str]:
    return storable.to_text(error[0])[:100], storable.to_text(error[1])


def report(connection: sa.Connection, job_id: str, *, attempt: int, fraction: float, message: str) -> bool:
    """Write a running job's progress; False when the job no longer belongs to this attempt."""
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
        )
        .values(
            progress_fraction=fraction, progress_message=storable.to_text(message)[:500], version=jobs.c.version + 1
        )
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
            tables.still(State.RUNNING),
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


_END_TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    **_HELD_TYPES,
    "state": sa.String(16),
    "result": tables.JSON,
    "error_type": sa.String(100),
    "error_message": sa.Text(),
}


@functools.cache
def _finish_all(dialect: str) -> sa.sql.dml.ReturningUpdate[Any]:
    now = clock.now_ms()
    _, ends = json_rows.unpack(dialect, "ends", _END_TYPES)
    succeeds = ends["state"] == State.SUCCEEDED
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == ends["job_id"],
            jobs.c.attempt == ends["attempt"],
            tables.still(State.RUNNING),
        )
        .values(
            state=ends["state"],
            version=jobs.c.version + 1,
            result=ends["result"],
            error_type=ends["error_type"],
            error_message=ends["error_message"],
            progress_fraction=sa.case((succeeds, 1.0), else_=jobs.c.progress_fraction),
            progress_message=sa.case((succeeds, None), else_=jobs.c.progress_message),
            finished_at=now,
            announce_after=now,
            lease_owner=None,
            lease_until=None,
        )
        .returning(jobs.c.id)
    )


def finish_all(connection: sa.Connection, ends: Sequence[End]) -> set[str]:
    """Write the ends of running jobs, each as `finish` does; return the ids of those that still had their attempts."""
    if not ends:
        return set()
    rows = []
    for end in ends:
        error_type, error_message = _storable_error(end.error) if end.error else (None, None)
        rows.append(
            {
                **_to_rows([end.held])[0],
                "state": end.state,
                "result": end.result,
                "error_type": error_type,
                "error_message": error_message,
            }
        )
    return set(connection.execute(_finish_all(connection.dialect.name), {"ends": rows}).scalars())


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


def _requeue_values(run_after: Any, error: tuple[str, str]) -> dict[str, Any]:
    """Build what is written of a running job that waits in the queue to be tried again."""
    error_type, error_message = _storable_error(error)
    return {
        "state": State.QUEUED,
        "version": jobs.c.version + 1,
        "run_after": run_after,
        "ring_after": run_after,
        "error_type": error_type,
        "error_message": error_message,
        "lease_owner": None,
        "lease_until": None,
    }


def try_again(
    connection: sa.Connection, job_id: str, *, attempt: int, wait_seconds: float, error: tuple[str, str]
) -> bool:
    """Put a job with a temporary failure back into the queue, to be claimed after `wait_seconds`."""
    run_after = clock.now_ms() + int(wait_seconds * 1000)
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
            jobs.c.tries_left > 1,
            jobs.c.cancel_requested == 0,
        )
        .values(**_requeue_values(run_after, error), tries_left=jobs.c.tries_left - 1)
    )
    return updated.rowcount == 1


def postpone(
    connection: sa.Connection,
    job_id: str,
    *,
    attempt: int,
    wait_seconds: float,
    patience_seconds: float,
    error: tuple[str, str],
) -> bool:
    """Put a job that met a passing fault back into the queue without using up a try.

    False when it was first started more than `patience_seconds` ago.
    """
    now = clock.now_ms()
    updated = connection.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == job_id,
            jobs.c.attempt == attempt,
            tables.still(State.RUNNING),
            jobs.c.started_at > now - int(patience_seconds * 1000),
            jobs.c.cancel_requested == 0,
        )
        .values(**_requeue_values(now + int(wait_seconds * 1000), error))
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
                tables.still(State.RUNNING),
            )
            .values(**_release_values(clock.now_ms(), lost=jobs.c.lost))
            .returning(*_MOVED_COLUMNS)
        )
    )


def list_leases(connection: sa.Connection, *, place: str) -> list[Lease]:
    """List the leases whose owners name a place as `shared.jobs.owners` does."""
    rows = connection.execute(
        sa.select(jobs.c.id, jobs.c.attempt, jobs.c.lease_owner).where(
            jobs.c.state == _RUNNING,
            jobs.c.lease_owner.contains(f"/{place}/", autoescape=True),
        )
    )
    return [Lease(job_id=row.id, attempt=row.attempt, owner=row.lease_owner) for row in rows]


def lose(connection: sa.Connection, job_id: str, *, attempt: int) -> list[MovedJob]:
    """Release a job whose process is known to be dead, as the sweep of its lease would: this is a loss of a worker."""
    return _to_moved_jobs(
        connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == job_id,
                jobs.c.attempt == attempt,
                tables.still(State.RUNNING),
            )
            .values(**_release_values(clock.now_ms(), lost=jobs.c.lost + 1))
            .returning(*_MOVED_COLUMNS)
        )
    )


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
            tables.still(State.QUEUED),
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
                tables.owned_by(tenant_id),
                tables.still(State.QUEUED, State.RUNNING),
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
                tables.still(State.QUEUED, State.RUNNING),
            )
            .values(**_cancel_values())
            .returning(*_MOVED_COLUMNS)
        )
    )
