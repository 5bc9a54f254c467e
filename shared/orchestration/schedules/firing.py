"""Lets schedules fire: each firing becomes a run or a reason why it did not, in one transaction with what was decided.

A firing is decided on once, however many sweepers there are and whenever they die: the schedule's row is locked, and
says up to when it was decided.
"""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import structlog

from shared import clock, database, errors, ids, roles
from shared.jobs import ledger, tables, views
from shared.jobs.states import TERMINAL
from shared.orchestration import beginning
from shared.orchestration.contract import RUN, RunPipeline
from shared.orchestration.schedules import kept, times
from shared.orchestration.schedules.document import Schedule
from shared.orchestration.tables import schedule_firings, schedules

jobs = tables.jobs
_log = structlog.get_logger()
_MAX_REASON = 500
_KEPT_DAYS = 30
"""How long it is known what became of a firing."""
TAG = "schedule:"
"""What the tag of a run begins with that a schedule has started; the schedule's name follows."""


@dataclasses.dataclass(frozen=True)
class Firing:
    """What becomes of a firing, or of a stretch of them."""

    at: int
    until: int
    count: int = 1
    run: str | None = None
    reason: str | None = None

    def to_row(self) -> dict[str, Any]:
        """Build the columns that say so."""
        return {
            **dataclasses.asdict(self),
            "outcome": "started" if self.run else "skipped",
            "reason": None if self.reason is None else self.reason[:_MAX_REASON],
        }


def fire_next(connection: sa.Connection, *, max_queued: int) -> bool:
    """Let the schedule fire that has been due for longest, and return whether there was one.

    A tenant that has `max_queued` queued jobs of this role starts none. A schedule that this release can't
    carry out fires no more until it is put again: it must not hold up the others.
    """
    row = connection.execute(
        sa.select(schedules)
        .where(schedules.c.next_at <= clock.now_ms_once())
        .order_by(schedules.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return False
    try:
        with connection.begin_nested():
            _Schedule(connection, row, max_queued=max_queued).fire()
    except database.FAULTS:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the schedules of others must fire.
        _log.error("schedule_broken", tenant=row.tenant_id, error=type(error).__name__)
        _stop(connection, row, error)
    return True


def _stop(connection: sa.Connection, row: sa.Row[Any], error: Exception) -> None:
    """Let a schedule fire no more, and write down why."""
    now = clock.read(connection)
    reason = f"broken: {type(error).__name__}; the schedule fires again once it is put again"
    firing = Firing(row.next_at, row.next_at, reason=reason).to_row()
    key = {"tenant_id": row.tenant_id, "schedule": row.name, "id": ids.new_ulid(), "decided_at": now}
    connection.execute(sa.insert(schedule_firings).values(**key, **firing))
    connection.execute(sa.update(schedules).where(*_is(row)).values(next_at=None))


def _is(row: sa.Row[Any]) -> tuple[sa.ColumnElement[bool], ...]:
    return schedules.c.tenant_id == row.tenant_id, schedules.c.name == row.name


class _Schedule:
    """A schedule that is due, whose row is locked."""

    def __init__(self, connection: sa.Connection, row: sa.Row[Any], *, max_queued: int) -> None:
        self._connection = connection
        self._max_queued = max_queued
        self._row = row
        self._schedule = Schedule.model_validate(row.document)
        self._last_run: str | None = row.last_run

    def fire(self) -> None:
        row, now = self._row, clock.read(self._connection)
        due = times.find_due(self._schedule, row.decided_until, now=now, anchor=row.created_at)
        firings = list(self._decide(due))
        key = {"tenant_id": row.tenant_id, "schedule": row.name}
        if firings:
            rows = [{**key, "id": ids.new_ulid(), **firing.to_row(), "decided_at": now} for firing in firings]
            self._connection.execute(sa.insert(schedule_firings), rows)
        following = kept.next_at(self._schedule, due.seen_until, anchor=row.created_at)
        self._connection.execute(
            sa.update(schedules)
            .where(*_is(row))
            .values(
                decided_until=due.seen_until,
                # What is left of many is behind the schedules of others.
                next_at=None if following is None else max(following, now),
                last_run=self._last_run,
            )
        )
        self._forget_old(now)

    def _forget_old(self, now: int) -> None:
        table = schedule_firings
        oldest = ids.first_ulid_at(max(0, now - _KEPT_DAYS * 24 * 3600 * 1000))
        old = (table.c.tenant_id == self._row.tenant_id, table.c.schedule == self._row.name, table.c.id < oldest)
        self._connection.execute(sa.delete(table).where(*old))

    def _decide(self, due: times.Due) -> Iterator[Firing]:
        if due.missed is not None:
            reason = "missed: nothing fired it in time, and the schedule doesn't make up for it"
            yield Firing(due.missed.first, due.missed.last, due.missed.count, reason=reason)
        for at in due.fire:
            yield self._start(at)

    def _start(self, at: int) -> Firing:
        """Start a run, or say why not."""
        running = self._find_running()
        if running is not None and self._schedule.overlap == "skip":
            return Firing(at, at, reason=f"overlap: {running} has not ended")
        queued = views.count_queued(self._connection, limit=self._max_queued, tenant_id=self._row.tenant_id)
        if queued >= self._max_queued:
            return Firing(at, at, reason=f"refused: {queued} jobs of this role wait already")
        try:
            job = self._make_run(at)
        except errors.MillraceError as error:
            return Firing(at, at, reason=f"refused: {error.message}")
        if running is not None and self._schedule.overlap == "cancel_running":
            ledger.cancel(self._connection, running, tenant_id=self._row.tenant_id)
        ledger.accept(self._connection, [job], ring_again_seconds=0)
        self._last_run = job.id
        return Firing(at, at, run=job.id)

    def _find_running(self) -> str | None:
        """Find the last run that the schedule started, if it has not ended."""
        if self._last_run is None or self._schedule.overlap == "allow":
            return None
        running: str | None = self._connection.execute(
            sa.select(jobs.c.id).where(
                jobs.c.id == self._last_run,
                tables.owned_by(self._row.tenant_id),
                jobs.c.state.not_in(sorted(TERMINAL)),
            )
        ).scalar()
        return running

    def _make_run(self, at: int) -> ledger.NewJob:
        """Make the job of a run; raises what the API would refuse such a run with."""
        schedule, row = self._schedule, self._row
        moment = datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
        command = RunPipeline(pipeline=schedule.pipeline, version=schedule.version, params=schedule.params, at=moment)
        begun = beginning.make(self._connection, command, tenant_id=row.tenant_id, version=None)
        steps = len(begun.pipeline.steps)
        return ledger.NewJob(
            id=ids.new_job_id(RUN.role),
            tenant_id=row.tenant_id,
            kind=RUN.name,
            params=command.model_dump(mode="json"),
            pinned={"pipeline": {"name": command.pipeline, "version": begun.version, "steps": steps}},
            submitted_by=row.created_by,
            tries_left=roles.ROLES[RUN.role].tries,
            tags=(f"{TAG}{row.name}",),
        )
