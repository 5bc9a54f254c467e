"""Schedules, when they fire next, and what became of their firings, as they are read."""

import itertools
from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, contract, database, errors
from shared.orchestration.schedules import kept, times
from shared.orchestration.schedules.document import Schedule
from shared.orchestration.tables import schedule_firings, schedules

ROLE = "orchestration"
_SHOWN_FIRINGS = 5


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of schedules in alphabetical order."""
    after = cursors.unpack(cursor, pattern=contract.NAME_PATTERN.strip("^$"))
    query = sa.select(schedules).where(schedules.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(schedules.c.name > after)
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(schedules.c.name).limit(limit + 1)).all()
    return {
        "schedules": [_describe(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].name) if len(rows) > limit else None,
    }


def show(databases: database.Databases, tenant_id: str, name: str) -> dict[str, Any]:
    """Read a schedule with its next firings; raises NotFoundError."""
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        row = _require(connection, name, tenant_id=tenant_id)
        now = clock.read(connection)
    return {**_describe(row), "next": [clock.to_text(moment) for moment in _list_next(row, now)]}


def _require(connection: sa.Connection, name: str, *, tenant_id: str) -> sa.Row[Any]:
    row = kept.find(connection, name, tenant_id=tenant_id)
    if row is None:
        raise errors.NotFoundError(f"There is no schedule {name!r} here.")
    return row


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "revision": row.revision,
        "schedule": row.document,
        "next_at": clock.to_text(row.next_at),
        "last_run": row.last_run,
        "created_by": row.created_by,
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


def _list_next(row: sa.Row[Any], now: int) -> list[int]:
    """List the next firings that are still to come."""
    schedule = Schedule.model_validate(row.document)
    following = times.iterate(schedule, now, anchor=row.created_at) if schedule.enabled else ()
    return list(itertools.islice(following, _SHOWN_FIRINGS))


def page_of_firings(
    databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of what became of a schedule's firings, the latest first; raises NotFoundError."""
    before = cursors.unpack(cursor, pattern="[0-9A-Z]{26}")
    table = schedule_firings
    query = sa.select(table).where(table.c.tenant_id == tenant_id, table.c.schedule == name)
    if before is not None:
        query = query.where(table.c.id < before)
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        _require(connection, name, tenant_id=tenant_id)
        rows = connection.execute(query.order_by(table.c.id.desc()).limit(limit + 1)).all()
    return {
        "name": name,
        "firings": [_describe_firing(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].id) if len(rows) > limit else None,
    }


def _describe_firing(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "at": clock.to_text(row.at),
        "until": clock.to_text(row.until),
        "count": row.count,
        "outcome": row.outcome,
        "reason": row.reason,
        "run": row.run,
        "decided_at": clock.to_text(row.decided_at),
    }
