"""Lets schedules fire: each firing becomes a run or a reason why it did not, in one transaction with what was decided.

A firing is decided on once, however many sweepers there are and whenever they die: the schedule's row is locked, and
says up to when it was decided.
"""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from shared import clock, errors, ids, roles
from shared.jobs import ledger, tables
from shared.jobs.states import TERMINAL
from shared.orchestration import beginning
from shared.orchestration.contract import RUN, RunPipeline
from shared.orchestration.schedules import kept, times
from shared.orchestration.schedules.document import Schedule
from shared.orchestration.tables import schedule_firings, schedules

jobs = tables.jobs
_MAX_REASON = 500
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


def fire_due(connection: sa.Connection, *, limit: int) -> int:
    """Let the schedules fire that are due, at most so many, and return how many were looked at."""
    rows = connection.execute(
        sa.select(schedules)
        .where(schedules.c.next_at <= clock.now_ms_once())
        .order_by(schedules.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        _Schedule(connection, row).fire()
    return len(rows)


class _Schedule:
    """A schedule that is due, whose row is locked."""

    def __init__(self, connection: sa.Connection, row: sa.Row[Any]) -> None:
        self._connection = connection
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
        self._connection.execute(
            sa.update(schedules)
            .where(schedules.c.tenant_id == row.tenant_id, schedules.c.name == row.name)
            .values(
                decided_until=due.seen_until,
                next_at=kept.next_at(self._schedule, due.seen_until, anchor=row.created_at),
                last_run=self._last_run,
            )
        )

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
