"""Jobs as they are read: one by its id, pages of many, and the document that a client gets."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, reads
from shared.jobs import ledger, tables
from shared.jobs.states import State

_jobs = tables.jobs


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownJob:
    """What is shown of a job: columns of its row, under their names, and how many of its children are in each state."""

    id: str
    kind: str
    state: str
    version: int
    priority: int
    attempt: int
    progress_fraction: float | None = None
    progress_message: str | None = None
    params: Mapping[str, Any]
    result: dict[str, Any] | None = None
    error_type: str | None = None
    error_message: str | None = None
    tags: list[str]
    retry_of: str | None
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    deadline_at: int | None
    turns: int
    interim: dict[str, Any] | None = None
    parent_id: str | None
    children: dict[str, int] | None = None
    """Counted only when a single job is read."""

    @property
    def is_terminal(self) -> bool:
        """Whether the job's state is final."""
        return State(self.state).is_terminal()


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyedJob(ShownJob):
    """A job that was accepted under an idempotency key, with what tells its request from another."""

    fingerprint: str
    idempotency_key: str


_SHOWN_COLUMNS = tuple(_jobs.c[field.name] for field in dataclasses.fields(ShownJob) if field.name != "children")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs a listing shows; None means any."""

    tenant_id: str
    kind: str | None = None
    state: State | None = None
    tag: str | None = None
    before: str | None = None
    """Only jobs older than this ULID."""


@functools.cache
def _select_job() -> sa.Select[Any]:
    return sa.select(*_SHOWN_COLUMNS).where(
        _jobs.c.id == sa.bindparam("job_id"), _jobs.c.tenant_id == sa.bindparam("tenant")
    )


@functools.cache
def _count_children() -> sa.Select[*tuple[Any, ...]]:
    # A child that rests between its turns counts as running, as in its own document.
    shown_state = sa.case(
        (sa.and_(_jobs.c.state == State.QUEUED, _jobs.c.turns > 0), State.RUNNING), else_=_jobs.c.state
    )
    counts = [sa.func.count().filter(shown_state == state).label(state.value) for state in State]
    return sa.select(*counts).where(_jobs.c.parent_id == sa.bindparam("job_id"))


def read(reader: reads.Reader, job_id: str, *, tenant_id: str) -> ShownJob | None:
    """Read one job by its primary key; if it has rested, it may have children, and these are counted."""
    row = reader.one(_select_job(), {"job_id": job_id, "tenant": tenant_id})
    if row is None:
        return None
    children = {}
    if row.turns > 0:
        counts = reader.one(_count_children(), {"job_id": job_id})._asdict()
        children = {state: count for state, count in counts.items() if count}
    return ShownJob(**row._asdict(), children=children or None)


def etag_of(job: ShownJob) -> str:
    """Build the ETag of what is shown of a job: its row's version and, if counted, its children by state."""
    children = job.children or {}
    return "-".join([str(job.version), *(f"{state}{count}" for state, count in children.items())])


def read_versions(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, tuple[State, int]]:
    """Read the state and row version of many jobs at once."""
    rows = connection.execute(sa.select(_jobs.c.id, _jobs.c.state, _jobs.c.version).where(_jobs.c.id.in_(job_ids)))
    return {row.id: (State(row.state), row.version) for row in rows}


def read_all_columns(connection: sa.Connection, job_id: str, *, tenant_id: str) -> sa.Row[Any] | None:
    """Read every column of one job."""
    return connection.execute(
        sa.select(_jobs).where(_jobs.c.id == job_id, _jobs.c.tenant_id == tenant_id)
    ).one_or_none()


def read_by_keys(connection: sa.Connection, *, tenant_id: str, kind: str, keys: Sequence[str]) -> list[KeyedJob]:
    """Read the jobs that were accepted under idempotency keys."""
    rows = connection.execute(
        sa.select(*_SHOWN_COLUMNS, _jobs.c.fingerprint, _jobs.c.idempotency_key).where(
            _jobs.c.tenant_id == tenant_id, _jobs.c.kind == kind, _jobs.c.idempotency_key.in_(keys)
        )
    )
    return [KeyedJob(**row._mapping) for row in rows]


def read_page(connection: sa.Connection, job_filter: Filter, *, role: str, limit: int) -> list[ShownJob]:
    """Read a role's newest jobs that match a filter, newest first."""
    query = sa.select(*_SHOWN_COLUMNS).where(_jobs.c.tenant_id == job_filter.tenant_id)
    if job_filter.kind is not None:
        query = query.where(_jobs.c.kind == job_filter.kind)
    if job_filter.state is not None:
        query = query.where(_jobs.c.state == job_filter.state)
    if job_filter.before is not None:
        query = query.where(_jobs.c.id < f"{role}_{job_filter.before}")
    order = _jobs.c.id
    if job_filter.tag is not None:
        tags = tables.job_tags
        # Ordered by the tag's index: otherwise SQLite may search all jobs, from the newest, for the few with the tag.
        order = tags.c.job_id
        query = query.join(tags, sa.and_(tags.c.job_id == _jobs.c.id, tags.c.tenant_id == job_filter.tenant_id)).where(
            tags.c.tag == job_filter.tag
        )
        if job_filter.before is not None:
            # Repeated for the tag's own index, which would otherwise be read from the newest job for every page.
            query = query.where(tags.c.job_id < f"{role}_{job_filter.before}")
    return [ShownJob(**row._mapping) for row in connection.execute(query.order_by(order.desc()).limit(limit))]


@dataclasses.dataclass(frozen=True)
class Backlog:
    """The queued jobs of a role, according to its database."""

    queued: int
    oldest_wait_seconds: float


def read_backlog(connection: sa.Connection, *, limit: int) -> Backlog:
    """Count a role's queued jobs (up to `limit`), and measure how long the oldest has been ready, in seconds."""
    queued_jobs = sa.select(_jobs.c.id).where(_jobs.c.state == State.QUEUED).limit(limit).subquery()
    row = connection.execute(
        sa.select(
            sa.select(sa.func.count()).select_from(queued_jobs).scalar_subquery().label("queued"),
            sa.select(clock.now_ms() - sa.func.min(_jobs.c.run_after))
            .where(_jobs.c.state == State.QUEUED)
            .scalar_subquery()
            .label("wait"),
        )
    ).one()
    return Backlog(queued=row.queued, oldest_wait_seconds=max(0, row.wait or 0) / 1000)


def to_document(job: ShownJob) -> dict[str, Any]:
    """Convert a job into the document that a client gets."""
    is_resting = job.turns > 0 and job.state == State.QUEUED
    links = {"self": f"/v1/jobs/{job.id}", "events": f"/v1/jobs/{job.id}/events"}
    if job.retry_of:
        links["retry_of"] = f"/v1/jobs/{job.retry_of}"
    if job.parent_id:
        links["parent"] = f"/v1/jobs/{job.parent_id}"
    return {
        "id": job.id,
        "kind": job.kind,
        "role": job.kind.partition(".")[0],
        # To clients, a job that rests between its turns is running, although its row is queued.
        "state": State.RUNNING if is_resting else job.state,
        "attempt": job.attempt - job.turns + is_resting,
        "priority": job.priority,
        "progress": {"fraction": job.progress_fraction, "message": job.progress_message},
        "params": job.params,
        "result": job.result,
        "interim": job.interim,
        "children": job.children,
        "error": {"type": job.error_type, "message": job.error_message} if job.error_type else None,
        "tags": job.tags,
        "created_at": clock.to_text(job.created_at),
        "started_at": clock.to_text(job.started_at),
        "finished_at": clock.to_text(job.finished_at),
        "deadline_at": clock.to_text(job.deadline_at),
        "links": links,
    }


def new_job_to_document(new_job: ledger.NewJob, *, created_at: int) -> dict[str, Any]:
    """Build the document of a job that was accepted a moment ago, without reading its row back."""
    deadline_seconds = new_job.deadline_seconds
    return to_document(
        ShownJob(
            id=new_job.id,
            kind=new_job.kind,
            state=State.QUEUED,
            version=1,
            priority=new_job.priority,
            attempt=0,
            params=new_job.params,
            tags=list(new_job.tags),
            retry_of=new_job.retry_of,
            created_at=created_at,
            deadline_at=None if deadline_seconds is None else created_at + deadline_seconds * 1000,
            turns=0,
            parent_id=None,
        )
    )
