"""Deletes jobs that ended long ago and that nothing names any more."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared import clock
from shared.jobs import log_lines, tables
from shared.jobs.states import TERMINAL

_jobs = tables.jobs
_GO_WITH_THE_JOB = (tables.job_tags.name, tables.job_logs.name)


@dataclasses.dataclass(frozen=True)
class Batch:
    """What became of some jobs: the last one's id, with which the next batch begins, and those that were deleted."""

    last_id: str | None
    """None when there are no older jobs left."""
    deleted_ids: list[str]


def naming_columns(connection: sa.Connection) -> list[sa.ColumnClause[str]]:
    """Look up the columns of a role's tables that name a job, such as a version's; its tags and lines go with it.

    They are read from the database, because the sweeper's image has no role's tables, and plugins bring their own.
    """
    columns = sa.inspect(connection).get_multi_columns()
    return [
        sa.table(name, sa.column("job_id", sa.String)).c.job_id
        for (_, name), of_table in columns.items()
        if name not in _GO_WITH_THE_JOB and any(column["name"] == "job_id" for column in of_table)
    ]


def delete_batch(
    connection: sa.Connection,
    *,
    after: str,
    retention_seconds: float,
    naming: Sequence[sa.ColumnElement[str]],
    limit: int,
) -> Batch:
    """Look at the next jobs after an id, the oldest first, and delete those that may be deleted."""
    ended_before = clock.now_ms_once() - int(retention_seconds * 1000)
    rows = connection.execute(
        sa.select(_jobs.c.id, (_jobs.c.created_at <= ended_before).label("is_old"))
        .where(_jobs.c.id > after)
        .order_by(_jobs.c.id)
        .limit(limit)
    ).all()
    old_ids = [row.id for row in rows if row.is_old]
    if not old_ids:
        return Batch(None, [])
    retry, child, parent = _jobs.alias("retry"), _jobs.alias("child"), _jobs.alias("parent")
    statement = sa.delete(_jobs).where(
        _jobs.c.id.in_(old_ids),
        _jobs.c.state.in_(sorted(TERMINAL)),
        _jobs.c.finished_at <= ended_before,
        # The relay has yet to publish its end.
        _jobs.c.announce_after.is_(None),
        # A repeated request is still answered with it.
        _jobs.c.idempotency_key.is_(None),
        # A search goes on from the trials of the one that it retries, and so on back to the first.
        ~sa.exists().where(retry.c.retry_of == _jobs.c.id),
        # Parents go before their children, because a parent that is kept names them.
        ~sa.exists().where(parent.c.id == _jobs.c.parent_id),
        ~sa.exists().where(child.c.parent_id == _jobs.c.id, child.c.state.not_in(sorted(TERMINAL))),
        _jobs.c.id.not_in(sa.select(tables.outbox.c.subject)),
        *(_jobs.c.id.not_in(sa.select(column)) for column in naming),
    )
    deleted = connection.execute(statement.returning(_jobs.c.id, _jobs.c.tenant_id, _jobs.c.tags)).all()
    _delete_tags(connection, deleted)
    log_lines.delete(connection, [(row.tenant_id, row.id) for row in deleted])
    return Batch(old_ids[-1], [row.id for row in deleted])


def _delete_tags(connection: sa.Connection, deleted: Sequence[Any]) -> None:
    """Delete the tags of deleted jobs by their whole key, because the job alone is not indexed."""
    tags = tables.job_tags
    keys = [{"tenant": row.tenant_id, "name": tag, "job": row.id} for row in deleted for tag in set(row.tags)]
    if keys:
        connection.execute(
            sa.delete(tags).where(
                tags.c.tenant_id == sa.bindparam("tenant"),
                tags.c.tag == sa.bindparam("name"),
                tags.c.job_id == sa.bindparam("job"),
            ),
            keys,
        )
