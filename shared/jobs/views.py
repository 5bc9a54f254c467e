"""Jobs as they are read: one by its id, pages of many, and the document that a client gets."""

import dataclasses
import functools
import types
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, reads
from shared.jobs import ledger, tables
from shared.jobs.states import State

_jobs = tables.jobs
_SHOWN_COLUMNS = (
    _jobs.c.id,
    _jobs.c.kind,
    _jobs.c.state,
    _jobs.c.version,
    _jobs.c.priority,
    _jobs.c.attempt,
    _jobs.c.progress_fraction,
    _jobs.c.progress_message,
    _jobs.c.params,
    _jobs.c.result,
    _jobs.c.error_type,
    _jobs.c.error_message,
    _jobs.c.tags,
    _jobs.c.retry_of,
    _jobs.c.created_at,
    _jobs.c.started_at,
    _jobs.c.finished_at,
    _jobs.c.deadline_at,
    _jobs.c.turns,
    _jobs.c.interim,
    _jobs.c.parent_id,
    # Counted only when a single job is read.
    sa.null().label("children"),
)
Row = Any
"""A row of the columns that are shown; SQLAlchemy's types can't express which ones these are."""


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


def read(reader: reads.Reader, job_id: str, *, tenant_id: str) -> Row | None:
    """Read one job by its primary key; if it has rested, it may have children, and these are counted."""
    row = reader.one(_select_job(), {"job_id": job_id, "tenant": tenant_id})
    if row is None or row.turns == 0:
        return row
    counts = reader.one(_count_children(), {"job_id": job_id})._asdict()
    children = {state: count for state, count in counts.items() if count}
    return types.SimpleNamespace(**{**row._asdict(), "children": children or None})


def etag_of(row: Row) -> str:
    """Build the ETag of what is shown of a job: its row's version and, if counted, its children by state."""
    children = row.children or {}
    return "-".join([str(row.version), *(f"{state}{count}" for state, count in children.items())])


def read_versions(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, tuple[State, int]]:
    """Read the state and row version of many jobs at once."""
    rows = connection.execute(sa.select(_jobs.c.id, _jobs.c.state, _jobs.c.version).where(_jobs.c.id.in_(job_ids)))
    return {row.id: (State(row.state), row.version) for row in rows}


def read_all_columns(connection: sa.Connection, job_id: str, *, tenant_id: str) -> Row | None:
    """Read every column of one job."""
    return connection.execute(
        sa.select(_jobs).where(_jobs.c.id == job_id, _jobs.c.tenant_id == tenant_id)
    ).one_or_none()


def read_by_keys(connection: sa.Connection, *, tenant_id: str, kind: str, keys: Sequence[str]) -> Sequence[Row]:
    """Read the jobs that were accepted under idempotency keys."""
    return connection.execute(
        sa.select(*_SHOWN_COLUMNS, _jobs.c.fingerprint, _jobs.c.idempotency_key).where(
            _jobs.c.tenant_id == tenant_id, _jobs.c.kind == kind, _jobs.c.idempotency_key.in_(keys)
        )
    ).all()


def read_page(connection: sa.Connection, job_filter: Filter, *, role: str, limit: int) -> Sequence[Row]:
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
    return connection.execute(query.order_by(order.desc()).limit(limit)).all()


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


def is_terminal(row: Row) -> bool:
    """Return whether a row's state is final."""
    return State(row.state).is_terminal()


def to_document(row: Row | types.SimpleNamespace) -> dict[str, Any]:
    """Convert a job's row into the document that a client gets."""
    job_id = row.id
    is_resting = row.turns > 0 and row.state == State.QUEUED
    links = {"self": f"/v1/jobs/{job_id}", "events": f"/v1/jobs/{job_id}/events"}
    if row.retry_of:
        links["retry_of"] = f"/v1/jobs/{row.retry_of}"
    if row.parent_id:
        links["parent"] = f"/v1/jobs/{row.parent_id}"
    return {
        "id": job_id,
        "kind": row.kind,
        "role": row.kind.partition(".")[0],
        # To clients, a job that rests between its turns is running, although its row is queued.
        "state": State.RUNNING if is_resting else row.state,
        "attempt": row.attempt - row.turns + is_resting,
        "priority": row.priority,
        "progress": {"fraction": row.progress_fraction, "message": row.progress_message},
        "params": row.params,
        "result": row.result,
        "interim": row.interim,
        "children": row.children,
        "error": {"type": row.error_type, "message": row.error_message} if row.error_type else None,
        "tags": row.tags,
        "created_at": clock.to_text(row.created_at),
        "started_at": clock.to_text(row.started_at),
        "finished_at": clock.to_text(row.finished_at),
        "deadline_at": clock.to_text(row.deadline_at),
        "links": links,
    }


def new_job_to_document(new_job: ledger.NewJob, *, created_at: int) -> dict[str, Any]:
    """Build the document of a job that was accepted a moment ago, without reading its row back."""
    row = types.SimpleNamespace(
        **dict.fromkeys((column.name for column in _SHOWN_COLUMNS), None)
        | {field: getattr(new_job, field) for field in new_job.__dataclass_fields__}
        | {"state": State.QUEUED, "attempt": 0, "turns": 0, "created_at": created_at, "tags": list(new_job.tags)}
    )
    if new_job.deadline_seconds is not None:
        row.deadline_at = created_at + new_job.deadline_seconds * 1000
    return to_document(row)
