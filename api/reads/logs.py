"""The logs of deployments: their files, what waits to be written, and what was lost."""

from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, database, errors
from shared.prediction import changes
from shared.prediction.logs import files
from shared.prediction.tables import prediction_log_batches, prediction_log_files, prediction_log_losses

_ROLE = "prediction"
_files, _waiting, _lost = prediction_log_files, prediction_log_batches, prediction_log_losses


def show(databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of a log's files, newest first; raises NotFoundError where there is neither deployment nor log."""
    before = cursors.unpack(cursor, pattern="[0-9A-Z]{26}")
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        head = changes.find(connection, tenant_id=tenant_id, name=name)
        if head is None and not files.has_any(connection, tenant_id=tenant_id, deployment=name):
            raise errors.NotFoundError(f"There is no deployment {name!r} here.")
        query = sa.select(_files).where(*_is_of(_files, tenant_id, name))
        if before is not None:
            query = query.where(_files.c.id < before)
        rows = connection.execute(query.order_by(_files.c.id.desc()).limit(limit + 1)).all()
        waiting = connection.execute(_sum_rows(_waiting).where(*_is_of(_waiting, tenant_id, name))).scalar_one()
        losses = connection.execute(
            sa.select(_lost.c.reason, sa.func.sum(_lost.c.rows).label("rows"))
            .where(*_is_of(_lost, tenant_id, name))
            .group_by(_lost.c.reason)
            .order_by(sa.func.sum(_lost.c.rows).desc(), _lost.c.reason)
        ).all()
    shown = rows[:limit]
    return {
        "deployment": name,
        "log": None if head is None else head.state.get("log"),
        "files": [_describe(row) for row in shown],
        "waiting_rows": int(waiting),
        "lost_rows": sum(int(row.rows) for row in losses),
        "losses": [{"reason": row.reason, "rows": int(row.rows)} for row in losses],
        "next_cursor": cursors.pack(shown[-1].id) if len(rows) > limit else None,
    }


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    names = ("id", "rows", "bytes", "sha256", "versions", "first_revision", "last_revision")
    return {
        **{name: getattr(row, name) for name in names},
        "columns": [{"name": name, "type": type_} for name, type_ in row._mapping[_files.c.columns]],
        "from": clock.to_text(row.from_at),
        "until": clock.to_text(row.until_at),
        "created_at": clock.to_text(row.created_at),
    }


def _sum_rows(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.coalesce(sa.func.sum(table.c.rows), 0))


def _is_of(table: sa.Table, tenant_id: str, name: str) -> list[sa.ColumnElement[bool]]:
    return [table.c.tenant_id == tenant_id, table.c.deployment == name]
