"""Jobs as they are read: one by its id, pages of many, and the document that a client gets."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, reads
from shared.jobs import ledger, pages, tables
from shared.jobs.states import State

_jobs = tables.jobs
_QUEUED: sa.ColumnElement[str] = sa.literal_column(f"'{State.QUEUED}'")
"""A literal, as the partial index of queued jobs needs it: docs/decisions/statements.md, "Times that are looked up"."""


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
    correlation_id: str | None
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
    tags: Sequence[str] = ()
    """All of these, the rarest first: it is looked up, and the others are looked for in the jobs that have it."""
    before: str | None = None
    """Only jobs older than this ULID."""
    after: str | None = None
    """Only jobs that are not older than this ULID."""
    since: int | None = None
    """Only jobs that were created at this time, in epoch milliseconds, or later."""
    until: int | None = None
    """Only jobs that were created before this time, in epoch milliseconds."""


@functools.cache
def _select_job() -> sa.Select[Any]:
    return sa.select(*_SHOWN_COLUMNS).where(
        _jobs.c.id == sa.bindparam("job_id"), tables.owned_by(sa.bindparam("tenant"))
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
    return connection.execute(sa.select(_jobs).where(_jobs.c.id == job_id, tables.owned_by(tenant_id))).one_or_none()


def read_by_keys(connection: sa.Connection, *, tenant_id: str, kind: str, keys: Sequence[str]) -> list[KeyedJob]:
    """Read the jobs that were accepted under idempotency keys."""
    rows = connection.execute(
        sa.select(*_SHOWN_COLUMNS, _jobs.c.fingerprint, _jobs.c.idempotency_key).where(
            _jobs.c.tenant_id == tenant_id, _jobs.c.kind == kind, _jobs.c.idempotency_key.in_(keys)
        )
    )
    return [KeyedJob(**row._mapping) for row in rows]


def list_ids(connection: sa.Connection, job_filter: Filter, *, role: str, limit: int) -> list[str]:
    """Read the ids of a role's newest jobs that match a filter, newest first."""
    query = sa.select(_jobs.c.id).where(_jobs.c.tenant_id == job_filter.tenant_id)
    if job_filter.kind is not None:
        query = query.where(_jobs.c.kind == job_filter.kind)
    if job_filter.state is not None:
        query = query.where(_jobs.c.state == job_filter.state)
    query = query.where(*_limit_ids(_jobs.c.id, job_filter, role=role))
    if job_filter.since is not None:
        query = query.where(_jobs.c.created_at >= job_filter.since)
    if job_filter.until is not None:
        query = query.where(_jobs.c.created_at < job_filter.until)
    order = _jobs.c.id
    if job_filter.tags:
        first, *others = job_filter.tags
        tags = tables.job_tags
        # Ordered by the tag's index: otherwise SQLite may search all jobs, from the newest, for the few with the tag.
        order = tags.c.job_id
        query = query.join(tags, sa.and_(tags.c.job_id == _jobs.c.id, tags.c.tenant_id == job_filter.tenant_id)).where(
            tags.c.tag == first
        )
        # Repeated for the tag's own index, which would otherwise be read from the newest job to the oldest.
        query = query.where(*_limit_ids(tags.c.job_id, job_filter, role=role))
        for tag in others:
            query = query.where(_has_tag(tag, tenant_id=job_filter.tenant_id))
    return list(connection.execute(query.order_by(order.desc()).limit(limit)).scalars())


def _limit_ids(job_id: sa.Column[Any], job_filter: Filter, *, role: str) -> list[sa.ColumnElement[bool]]:
    before = [] if job_filter.before is None else [job_id < f"{role}_{job_filter.before}"]
    return before if job_filter.after is None else [*before, job_id >= f"{role}_{job_filter.after}"]


def _has_tag(tag: str, *, tenant_id: str) -> sa.ColumnElement[bool]:
    tags = tables.job_tags.alias()
    return sa.exists().where(
        tags.c.tenant_id == tenant_id,
        tags.c.tag == tag,
        tags.c.job_id == _jobs.c.id,
    )


def read_many(
    connection: sa.Connection, job_ids: Sequence[str], *, max_bytes: int = pages.MAX_BYTES
) -> tuple[list[ShownJob], int | None]:
    """Read jobs in the order of their ids until they have too many bytes; jobs that are gone are left out.

    Returns them, and the position of the first that didn't fit any more; the first of all always does.
    """
    page = pages.read(
        connection, _jobs, [{"id": job_id} for job_id in job_ids], shown=_SHOWN_COLUMNS, max_bytes=max_bytes
    )
    shown = [{column.name: getattr(row, column.name) for column in _SHOWN_COLUMNS} for row in page.rows]
    return [ShownJob(**columns) for columns in shown], page.cut_at


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


def count_queued(connection: sa.Connection, *, limit: int, tenant_id: str | None = None) -> int:
    """Count a role's queued jobs, or those of one tenant, up to `limit`."""
    queued = sa.select(_jobs.c.id).where(_jobs.c.state == _QUEUED).limit(limit)
    if tenant_id is not None:
        queued = queued.where(_jobs.c.tenant_id == tenant_id)
    return connection.execute(sa.select(sa.func.count()).select_from(queued.subquery())).scalar_one()


def to_document(job: ShownJob) -> dict[str, Any]:
    """Convert a job into the document that a client gets."""
    is_resting = job.turns > 0 and job.state == State.QUEUED
    path = f"/v1/jobs/{job.id}"
    links = {"self": path, "events": f"{path}/events", "logs": f"{path}/logs"}
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
        "correlation_id": job.correlation_id or job.id,
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
            correlation_id=new_job.correlation_id,
        )
    )
