"""Batches that wait for shadows to predict them, and the jobs that do it: one at a time for each deployment.

So a deployment's shadows hold at most one worker, however many copies fill their rings; what comes meanwhile waits for
the next job, up to a limit, and is lost and counted beyond it.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock
from shared.prediction import own_jobs
from shared.prediction.records import segments
from shared.prediction.shadows import stored, sums
from shared.prediction.shadows.document import KIND
from shared.prediction.tables import shadow_batches

MOST_ROWS = 50_000
"""Rows of a deployment that may wait; more are lost."""
JOB_ROWS = 5_000
"""Rows of one job, and at least one batch; a worker that does them is there for nobody else meanwhile."""
_DEADLINE_SECONDS = 600
_table = shadow_batches


@dataclasses.dataclass(frozen=True)
class Waiting:
    """What waits for the shadows of a deployment."""

    tenant_id: str
    deployment: str
    rows: int
    oldest_ms: int
    """For how long the oldest batch has waited."""


def enqueue(connection: sa.Connection, batch: segments.ShadowBatch) -> bool:
    """Let a batch wait for a job; False when too many do already, and its rows are lost and counted."""
    rows = sa.func.coalesce(sa.func.sum(_table.c.rows), 0)
    waiting = connection.execute(sa.select(rows).where(*_is_of(batch.tenant_id, batch.deployment))).scalar_one()
    now = clock.read(connection)
    if waiting + batch.rows > MOST_ROWS:
        lose(connection, batch, reason="more waits for the shadow's jobs than they can do", at_ms=now)
        return False
    connection.execute(
        sa.insert(_table).values(
            name=batch.name,
            tenant_id=batch.tenant_id,
            deployment=batch.deployment,
            rows=batch.rows,
            shadows=[dataclasses.astuple(share) for share in batch.shadows],
            queued_at=now,
        )
    )
    return True


def lose(connection: sa.Connection, batch: segments.ShadowBatch, *, reason: str, at_ms: int) -> None:
    """Count the rows of a batch as lost."""
    _count(connection, batch, at_ms=at_ms, make=functools.partial(sums.of_lost, reason))


def list_waiting(connection: sa.Connection) -> list[Waiting]:
    """List the deployments for which batches wait and no job has any."""
    now = clock.now_ms()
    rows = connection.execute(
        sa.select(
            _table.c.tenant_id,
            _table.c.deployment,
            sa.func.sum(_table.c.rows).label("rows"),
            (now - sa.func.min(_table.c.queued_at)).label("oldest_ms"),
        )
        .group_by(_table.c.tenant_id, _table.c.deployment)
        .having(sa.func.count(_table.c.job_id) == 0)
    )
    return [Waiting(row.tenant_id, row.deployment, int(row.rows), int(row.oldest_ms)) for row in rows]


def submit(connection: sa.Connection, waiting: Waiting, *, pinned: dict[str, Any], submitted_by: str) -> str | None:
    """Submit a job for the batches that have waited longest; None when another one has been submitted meanwhile."""
    is_of = _is_of(waiting.tenant_id, waiting.deployment)
    rows = connection.execute(sa.select(_table).where(*is_of).order_by(_table.c.name).with_for_update()).all()
    if any(row.job_id for row in rows) or not rows:
        return None
    names: list[str] = []
    total = 0
    for row in sorted(rows, key=lambda row: row.queued_at):
        if names and total + row.rows > JOB_ROWS:
            break
        names.append(row.name)
        total += row.rows
    job_id = own_jobs.submit(
        connection,
        KIND,
        tenant_id=waiting.tenant_id,
        params={"deployment": waiting.deployment},
        submitted_by=submitted_by,
        pinned=pinned,
        priority=own_jobs.LOWEST_PRIORITY,
        deadline_seconds=_DEADLINE_SECONDS,
    )
    connection.execute(sa.update(_table).where(_table.c.name.in_(names)).values(job_id=job_id))
    return job_id


def list_jobs(connection: sa.Connection) -> list[str]:
    """List the jobs that have batches."""
    query = sa.select(_table.c.job_id).where(_table.c.job_id.isnot(None)).distinct()
    return [str(job_id) for job_id in connection.execute(query).scalars()]


def read_batches(connection: sa.Connection, job_id: str) -> list[segments.ShadowBatch]:
    """Read the batches of a job, the oldest first."""
    rows = connection.execute(sa.select(_table).where(_table.c.job_id == job_id).order_by(_table.c.name))
    return [to_batch(row) for row in rows]


def remove(connection: sa.Connection, names: Iterable[str]) -> None:
    """Remove batches that are done, or lost; their objects are removed by whoever has seen the transaction end."""
    connection.execute(sa.delete(_table).where(_table.c.name.in_(list(names))))


def end(connection: sa.Connection, job_id: str, *, reason: str, has_failed: bool) -> list[str]:
    """Count the rows of a job that has ended without them, as failed or as lost; returns the batches, now removed."""
    rows = connection.execute(sa.select(_table).where(_table.c.job_id == job_id).with_for_update()).all()
    now = clock.read(connection)
    make = functools.partial(sums.of_failed if has_failed else sums.of_lost, reason)
    for row in rows:
        _count(connection, to_batch(row), at_ms=now, make=make)
    remove(connection, [row.name for row in rows])
    return [row.name for row in rows]


def lose_all(connection: sa.Connection, waiting: Waiting, *, reason: str) -> list[str]:
    """Count all that waits for a deployment's shadows as lost, and remove it; returns the names of the batches."""
    is_of = _is_of(waiting.tenant_id, waiting.deployment)
    rows = connection.execute(sa.select(_table).where(*is_of, _table.c.job_id.is_(None)).with_for_update()).all()
    now = clock.read(connection)
    for row in rows:
        lose(connection, to_batch(row), reason=reason, at_ms=now)
    remove(connection, [row.name for row in rows])
    return [row.name for row in rows]


def to_batch(row: sa.Row[Any]) -> segments.ShadowBatch:
    """Convert a row to the batch that it is of."""
    shares = [segments.ShadowShare(*share) for share in row.shadows]
    return segments.ShadowBatch(row.tenant_id, row.deployment, row.name, row.rows, shares)


def _count(
    connection: sa.Connection, batch: segments.ShadowBatch, *, at_ms: int, make: Callable[[int], sums.Sums]
) -> None:
    added = {
        stored.Key(
            batch.tenant_id,
            batch.deployment,
            stored.Shadow(share.id, share.model, share.version),
            "",
            stored.hour_of(at_ms),
        ): make(share.rows)
        for share in batch.shadows
    }
    stored.add(connection, added)


def _is_of(tenant_id: str, deployment: str) -> Sequence[sa.ColumnElement[bool]]:
    return _table.c.tenant_id == tenant_id, _table.c.deployment == deployment
