"""The Parquet files of deployments' logs: what is there of a time, and what is too old."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shared.prediction import changes
from shared.prediction.logs import waiting
from shared.prediction.logs.document import DATASET, DAY_MS
from shared.prediction.tables import prediction_log_batches, prediction_log_files

_table = prediction_log_files
_BATCHES = prediction_log_batches
_SLACK_MS = 60_000
"""By how much a prediction may be older than the copy said of its batch."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where the rows of a time are: in files, and in batches that no job has written yet."""

    files: list[dict[str, Any]]
    """The oldest first, each with what its row has."""
    batches: list[str]
    """Names of batches, the oldest first."""


def add(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add files."""
    if rows:
        connection.execute(sa.insert(_table), list(rows))


def find_sources(
    connection: sa.Connection, *, tenant_id: str, deployment: str, since: int | None, until: int
) -> Sources:
    """Find where the rows from `since` to before `until` are, in epoch milliseconds.

    One statement reads both, so that what a job writes meanwhile is found once.
    """
    of = {"tenant_id": tenant_id, "deployment": deployment}
    found = sa.union_all(
        sa.select(_table.c.id.label("id"), sa.literal(1).label("is_file"), _table.c.from_at.label("at")).where(
            *_is(_table, of), *_overlaps(_table.c.from_at, _table.c.until_at, since=since, until=until)
        ),
        sa.select(_BATCHES.c.name, sa.literal(0), _BATCHES.c.first_at).where(
            *_is(_BATCHES, of),
            *_overlaps(_BATCHES.c.first_at - _SLACK_MS, _BATCHES.c.last_at, since=since, until=until),
        ),
    ).subquery()
    files, batches = [], []
    query = sa.select(found, _table).select_from(
        found.outerjoin(_table, sa.and_(found.c.is_file == 1, _table.c.id == found.c.id))
    )
    for row in connection.execute(query.order_by(found.c.at, found.c.id)):
        if row.is_file:
            files.append({column.name: row._mapping[column] for column in _table.columns})
        else:
            batches.append(row._mapping[found.c.id])
    return Sources(files, batches)


def has_any(connection: sa.Connection, *, tenant_id: str, deployment: str) -> bool:
    """Return whether something of a deployment's log is there, as it may be after the deployment is gone."""
    of = {"tenant_id": tenant_id, "deployment": deployment}
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).where(*_is(table, of)).limit(1)).first()
        for table in (_table, _BATCHES)
    )


def remove_old(connection: sa.Connection, *, now: int) -> list[str]:
    """Remove the rows of files that are older than their deployment keeps them; returns the keys of their objects.

    A deployment that keeps no log any more, or is gone, keeps its files as long as it did when they were written. Files
    stay while a dataset is made of the deployment's log.
    """
    keys: list[str] = []
    pairs = sa.select(_table.c.tenant_id, _table.c.deployment).distinct()
    for tenant_id, deployment in connection.execute(pairs).all():
        head = changes.find(connection, tenant_id=tenant_id, name=deployment)
        log = head.state.get("log") if head is not None else None
        days = sa.literal(log["retention_days"]) if log else _table.c.retention_days
        is_old = _table.c.until_at < sa.literal(now, sa.BigInteger) - sa.cast(days, sa.BigInteger) * DAY_MS
        of = {"tenant_id": tenant_id, "deployment": deployment}
        old = connection.execute(sa.select(_table.c.key).where(*_is(_table, of), is_old)).scalars().all()
        if old and not waiting.has_live(connection, tenant_id, deployment, kind=DATASET):
            connection.execute(sa.delete(_table).where(*_is(_table, of), is_old))
            keys += old
    return keys


def _overlaps(
    first: sa.ColumnElement[int], last: sa.ColumnElement[int], *, since: int | None, until: int
) -> list[sa.ColumnElement[bool]]:
    return [first < until, *([] if since is None else [last >= since])]


def _is(table: sa.Table, of: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in of.items()]
