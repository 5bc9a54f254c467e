"""The rows of schedules: put, find, delete."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database, errors
from shared.orchestration.schedules import times
from shared.orchestration.schedules.document import Schedule
from shared.orchestration.tables import schedule_firings, schedules


def put(
    connection: sa.Connection,
    name: str,
    schedule: Schedule,
    *,
    tenant_id: str,
    created_by: str,
    expected_revision: int | None = None,
) -> int:
    """Keep a schedule, and return its revision; from now on it fires as this one says.

    What an earlier one has missed so far is made up for no more. PreconditionFailedError when the present revision
    isn't `expected_revision`.
    """
    now = clock.read(connection)
    row = _lock(connection, name, tenant_id=tenant_id, now=now)
    if expected_revision is not None and expected_revision != row.revision:
        raise errors.PreconditionFailedError(
            f"The schedule {name} has the revision {row.revision}, not {expected_revision}: it has changed since."
        )
    # A schedule that was disabled for a while, and is otherwise the same, has missed what it did not fire meanwhile.
    document = schedule.model_dump(mode="json")
    is_same = {**document, "enabled": None} == {**row.document, "enabled": None}
    decided_until = row.decided_until if is_same else now
    connection.execute(
        sa.update(schedules)
        .where(schedules.c.tenant_id == tenant_id, schedules.c.name == name)
        .values(
            revision=row.revision + 1,
            document=document,
            created_by=created_by,
            updated_at=now,
            decided_until=decided_until,
            next_at=next_at(schedule, decided_until, anchor=row.created_at),
        )
    )
    return int(row.revision) + 1


def _lock(connection: sa.Connection, name: str, *, tenant_id: str, now: int) -> sa.Row[Any]:
    """Read a schedule's row, locked until the transaction ends; a new one has the revision 0."""
    times_of_row = {"created_at": now, "updated_at": now, "decided_until": now}
    connection.execute(
        database.insert(connection, schedules)
        .values(tenant_id=tenant_id, name=name, revision=0, document={}, created_by="", **times_of_row)
        .on_conflict_do_nothing()
    )
    query = sa.select(schedules).where(schedules.c.tenant_id == tenant_id, schedules.c.name == name)
    return connection.execute(query.with_for_update()).one()


def next_at(schedule: Schedule, decided_until: int, *, anchor: int) -> int | None:
    """Find when a schedule has to be looked at next; None while it is disabled, or when its time is over."""
    return times.next_after(schedule, decided_until, anchor=anchor) if schedule.enabled else None


def find(connection: sa.Connection, name: str, *, tenant_id: str) -> sa.Row[Any] | None:
    """Read a schedule; None when there is none."""
    query = sa.select(schedules).where(schedules.c.tenant_id == tenant_id, schedules.c.name == name)
    return connection.execute(query).one_or_none()


def delete(connection: sa.Connection, name: str, *, tenant_id: str) -> bool:
    """Delete a schedule and what became of its firings; False when there is none. Its runs go on."""
    # The schedule first: whoever fires it holds its row, and may write one firing more.
    deleted = connection.execute(
        sa.delete(schedules).where(schedules.c.tenant_id == tenant_id, schedules.c.name == name)
    )
    connection.execute(
        sa.delete(schedule_firings).where(
            schedule_firings.c.tenant_id == tenant_id, schedule_firings.c.schedule == name
        )
    )
    return deleted.rowcount == 1
