"""Batches of deployments' logs that wait to be written as Parquet, the jobs that do it, and what was lost.

A deployment has one such job at a time. Batches stay until the job that has written them has succeeded, so one that
ends otherwise loses nothing.
"""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import tables
from shared.jobs.states import State
from shared.prediction import own_jobs
from shared.prediction.logs.document import WRITE
from shared.prediction.records import segments
from shared.prediction.tables import (
    deployment_changes,
    prediction_log_batches,
    prediction_log_files,
    prediction_log_losses,
)

MOST_BYTES = 4 << 30
"""What may wait of a deployment; more is lost."""
JOB_BYTES, JOB_BATCHES = 256 << 20, 5_000
"""What one job takes."""
NO_ROOM = "more waits to be written than may wait"
_LIVE = (State.QUEUED, State.RUNNING)
_HOUR_MS = 3_600_000
_CHUNK = 500
_table = prediction_log_batches


@dataclasses.dataclass(frozen=True)
class Waiting:
    """What waits of a deployment's log."""

    tenant_id: str
    deployment: str
    bytes: int
    oldest_ms: int
    """For how long the oldest batch has waited."""
    has_files: bool
    """Whether something of it has been written before."""


def enqueue(connection: sa.Connection, batch: segments.LogBatch) -> bool:
    """Let a batch wait for a job; False when too much does already, and its rows are lost and counted."""
    total = sa.func.coalesce(sa.func.sum(_table.c.bytes_waiting), 0)
    waiting = int(connection.execute(sa.select(total).where(*_is_of(batch.tenant_id, batch.deployment))).scalar_one())
    if waiting + batch.bytes > MOST_BYTES:
        lose(connection, segments.LogLoss(batch.tenant_id, batch.deployment, batch.last_at, NO_ROOM, batch.rows))
        return False
    connection.execute(
        sa.insert(_table).values(
            name=batch.name,
            tenant_id=batch.tenant_id,
            deployment=batch.deployment,
            rows=batch.rows,
            bytes_waiting=batch.bytes,
            first_at=batch.first_at,
            last_at=batch.last_at,
            queued_at=clock.now_ms(),
        )
    )
    return True


def lose(connection: sa.Connection, *losses: segments.LogLoss) -> None:
    """Count rows as lost, by the hour and the reason."""
    table = prediction_log_losses
    # In order, so that two that count at once wait for each other instead of deadlocking.
    for loss in sorted(losses, key=dataclasses.astuple):
        insert = database.insert(connection, table).values(
            tenant_id=loss.tenant_id,
            deployment=loss.deployment,
            started_at=loss.at_ms - loss.at_ms % _HOUR_MS,
            reason=loss.reason,
            rows=loss.rows,
        )
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=["tenant_id", "deployment", "started_at", "reason"],
                set_={"rows": table.c.rows + insert.excluded.rows},
            )
        )


def list_waiting(connection: sa.Connection) -> list[Waiting]:
    """List the deployments of whose logs something waits."""
    files = prediction_log_files
    is_its = sa.and_(files.c.tenant_id == _table.c.tenant_id, files.c.deployment == _table.c.deployment)
    rows = connection.execute(
        sa.select(
            _table.c.tenant_id,
            _table.c.deployment,
            sa.func.sum(_table.c.bytes_waiting).label("bytes"),
            (clock.now_ms() - sa.func.min(_table.c.queued_at)).label("oldest_ms"),
            sa.exists().where(is_its).correlate(_table).label("has_files"),
        ).group_by(_table.c.tenant_id, _table.c.deployment)
    )
    return [
        Waiting(row.tenant_id, row.deployment, int(row.bytes), int(row.oldest_ms), bool(row.has_files)) for row in rows
    ]


def submit(connection: sa.Connection, waiting: Waiting, *, deadline_seconds: int) -> str | None:
    """Submit a job that writes what waits; None when there is one already."""
    # Locked, so that of two sweepers one waits for the other.
    connection.execute(
        sa.select(_table.c.name)
        .where(*_is_of(waiting.tenant_id, waiting.deployment))
        .order_by(_table.c.name)
        .limit(1)
        .with_for_update()
    ).all()
    if has_live(connection, waiting.tenant_id, waiting.deployment, kind=WRITE):
        return None
    return own_jobs.submit(
        connection,
        WRITE,
        tenant_id=waiting.tenant_id,
        params={"deployment": waiting.deployment},
        submitted_by=_find_author(connection, waiting),
        priority=own_jobs.LOWEST_PRIORITY,
        deadline_seconds=deadline_seconds,
    )


def has_live(connection: sa.Connection, tenant_id: str, deployment: str, *, kind: str) -> bool:
    """Return whether a job of a kind is under way for a deployment."""
    jobs = tables.jobs
    query = sa.select(jobs.c.params).where(jobs.c.tenant_id == tenant_id, jobs.c.kind == kind, jobs.c.state.in_(_LIVE))
    return any(params["deployment"] == deployment for params in connection.execute(query).scalars())


def read_batches(connection: sa.Connection, *, tenant_id: str, deployment: str) -> list[sa.Row[Any]]:
    """Read what one job is to write, the oldest first."""
    query = sa.select(_table).where(*_is_of(tenant_id, deployment)).order_by(_table.c.first_at, _table.c.name)
    taken: list[sa.Row[Any]] = []
    size = 0
    for row in connection.execute(query.limit(JOB_BATCHES)).all():
        size += row.bytes_waiting
        if taken and size > JOB_BYTES:
            break
        taken.append(row)
    return taken


def remove(connection: sa.Connection, names: Sequence[str]) -> int:
    """Remove batches, and return how many were there; whoever has seen the transaction end removes their objects."""
    count = 0
    for start in range(0, len(names), _CHUNK):
        query = sa.delete(_table).where(_table.c.name.in_(names[start : start + _CHUNK]))
        count += connection.execute(query).rowcount
    return count


def list_names(connection: sa.Connection) -> Collection[str]:
    """List the names of all batches that wait."""
    return set(connection.execute(sa.select(_table.c.name)).scalars())


def _find_author(connection: sa.Connection, waiting: Waiting) -> str:
    """Find who made the deployment what it is now, or deleted it."""
    table = deployment_changes
    query = (
        sa.select(table.c.changed_by)
        .where(table.c.tenant_id == waiting.tenant_id, table.c.deployment == waiting.deployment)
        .order_by(table.c.revision.desc())
        .limit(1)
    )
    return str(connection.execute(query).scalar_one())


def _is_of(tenant_id: str, deployment: str) -> Sequence[sa.ColumnElement[bool]]:
    return _table.c.tenant_id == tenant_id, _table.c.deployment == deployment
