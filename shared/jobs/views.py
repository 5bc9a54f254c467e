"""Jobs as they are read: one by its id, pages of many, and the document a client sees."""

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
_SHOWN = (
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
    # Counted for a single job only.
    sa.null().label("children"),
)
Row = Any
"""A row of the columns that are shown; SQLAlchemy's types can't say which these are."""


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
def _show() -> sa.Select[Any]:
    return sa.select(*_SHOWN).where(_jobs.c.id == sa.bindparam("job_id"), _jobs.c.tenant_id == sa.bindparam("tenant"))


@functools.cache
def _children() -> sa.Select[*tuple[Any, ...]]:
    # A child that rests between its turns is under way, as in its own document.
    state = sa.case((sa.and_(_jobs.c.state == State.QUEUED, _jobs.c.turns > 0), State.RUNNING), else_=_jobs.c.state)
    counts = [sa.func.count().filter(state == each).label(each.value) for each in State]
    return sa.select(*counts).where(_jobs.c.parent_id == sa.bindparam("job_id"))


def show(reader: reads.Reader, job_id: str, *, tenant_id: str) -> Row | None:
    """Read one job by its primary key; only one that has rested can have children, and then they are counted."""
    row = reader.one(_show(), {"job_id": job_id, "tenant": tenant_id})
    if row is None or row.turns == 0:
        return row
    counts = reader.one(_children(), {"job_id": job_id})._asdict()
    children = {state: count for state, count in counts.items() if count}
    return types.SimpleNamespace(**{**row._asdict(), "children": children or None})


def tag(row: Row) -> str:
    """Name what is shown of a job now: its row's version and, when they are counted, how its children are."""
    children = row.children or {}
    return "-".join([str(row.version), *(f"{state}{count}" for state, count in children.items())])


def versions(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, tuple[State, int]]:
    """Read the state and row version of many jobs at once."""
    rows = connection.execute(sa.select(_jobs.c.id, _jobs.c.state, _jobs.c.version).where(_jobs.c.id.in_(job_ids)))
    return {row.id: (State(row.state), row.version) for row in rows}


def whole(connection: sa.Connection, job_id: str, *, tenant_id: str) -> Row | None:
    """Read every column of one job."""
    return connection.execute(
        sa.select(_jobs).where(_jobs.c.id == job_id, _jobs.c.tenant_id == tenant_id)
    ).one_or_none()


def by_key(connection: sa.Connection, *, tenant_id: str, kind: str, keys: Sequence[str]) -> Sequence[Row]:
    """Read the jobs that were accepted under idempotency keys."""
    return connection.execute(
        sa.select(*_SHOWN, _jobs.c.fingerprint, _jobs.c.idempotency_key).where(
            _jobs.c.tenant_id == tenant_id, _jobs.c.kind == kind, _jobs.c.idempotency_key.in_(keys)
        )
    ).all()


def page(connection: sa.Connection, wanted: Filter, *, role: str, limit: int) -> Sequence[Row]:
    """Read a role's newest jobs that a filter lets through, newest first."""
    query = sa.select(*_SHOWN).where(_jobs.c.tenant_id == wanted.tenant_id)
    if wanted.kind is not None:
        query = query.where(_jobs.c.kind == wanted.kind)
    if wanted.state is not None:
        query = query.where(_jobs.c.state == wanted.state)
    if wanted.before is not None:
        query = query.where(_jobs.c.id < f"{role}_{wanted.before}")
    order = _jobs.c.id
    if wanted.tag is not None:
        tags = tables.job_tags
        # Said of the tag's index: else SQLite may look at all jobs, from the newest on, for the few that have a tag.
        order = tags.c.job_id
        query = query.join(tags, sa.and_(tags.c.job_id == _jobs.c.id, tags.c.tenant_id == wanted.tenant_id)).where(
            tags.c.tag == wanted.tag
        )
        if wanted.before is not None:
            # Said again of the tag's own index, which else would be read from the newest job on for every page.
            query = query.where(tags.c.job_id < f"{role}_{wanted.before}")
    return connection.execute(query.order_by(order.desc()).limit(limit)).all()


@dataclasses.dataclass(frozen=True)
class Backlog:
    """What waits in a role's queue, by its rows."""

    queued: int
    oldest_wait_seconds: float


def backlog(connection: sa.Connection, *, most: int) -> Backlog:
    """Count a role's queued jobs (up to `most`) and give how long the oldest has been ready, in seconds."""
    ready = sa.select(_jobs.c.id).where(_jobs.c.state == State.QUEUED).limit(most).subquery()
    row = connection.execute(
        sa.select(
            sa.select(sa.func.count()).select_from(ready).scalar_subquery().label("queued"),
            sa.select(clock.now_ms() - sa.func.min(_jobs.c.run_after))
            .where(_jobs.c.state == State.QUEUED)
            .scalar_subquery()
            .label("wait"),
        )
    ).one()
    return Backlog(row.queued, max(0, row.wait or 0) / 1000)


def is_terminal(row: Row) -> bool:
    """Tell whether a row's state is final."""
    return State(row.state).is_terminal()


def document(row: Row | types.SimpleNamespace) -> dict[str, Any]:
    """Give a job as a client sees it."""
    job_id = row.id
    rests = row.turns > 0 and row.state == State.QUEUED
    links = {"self": f"/v1/jobs/{job_id}", "events": f"/v1/jobs/{job_id}/events"}
    if row.retry_of:
        links["retry_of"] = f"/v1/jobs/{row.retry_of}"
    if row.parent_id:
        links["parent"] = f"/v1/jobs/{row.parent_id}"
    return {
        "id": job_id,
        "kind": row.kind,
        "role": row.kind.partition(".")[0],
        # A job that rests between its turns is under way, whatever its row says to the queue.
        "state": State.RUNNING if rests else row.state,
        "attempt": row.attempt - row.turns + rests,
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


def fresh_document(new: ledger.NewJob, *, created_at: int) -> dict[str, Any]:
    """Give a job that was accepted a moment ago as a client sees it, without reading it back."""
    row = types.SimpleNamespace(
        **dict.fromkeys((column.name for column in _SHOWN), None)
        | {field: getattr(new, field) for field in new.__dataclass_fields__}
        | {"state": State.QUEUED, "attempt": 0, "turns": 0, "created_at": created_at, "tags": list(new.tags)}
    )
    if new.deadline_seconds is not None:
        row.deadline_at = created_at + new.deadline_seconds * 1000
    return document(row)
