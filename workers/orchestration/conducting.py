"""Takes a turn of a run: looks how its jobs are, decides what comes next, submits it, and rests.

What is to be submitted is written before it is sent, in a transaction that only the holder of the run's lease can
commit, and is sent under a key that is the same whoever sends it again: so each step is submitted exactly once,
whenever anybody dies. docs/decisions/pipelines.md, "What a run submits is written before it is sent".
"""

import time
from typing import Any

import sqlalchemy as sa
import structlog

from shared import clock, contract, database, errors
from shared.jobs import offspring
from shared.orchestration import beginning, runs
from shared.orchestration.contract import PipelineRun, RunPipeline, WoundUp
from shared.orchestration.language import advancing, plans
from shared.orchestration.language.document import Pipeline
from shared.orchestration.language.runs import Decision, Ending, Run
from workers.job import Finish, Job, Rest
from workers.orchestration import looking, submitting, summaries
from workers.orchestration.api_client import Away, Client, Refused
from workers.orchestration.progress import Progress

_log = structlog.get_logger()
_ROLE = "orchestration"
_SHORTEST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.5, 30.0
_PART_OF_AGE = 0.2
"""A run that isn't woken rests for this part of the time since anything happened in it, within these bounds."""
_TURN_SECONDS = 20.0
"""After so long a turn ends, with more to do, so that others have one too."""


class FencedError(errors.RetryableError):
    """The run is another worker's by now."""


class Conductor:
    """One turn of a run."""

    def __init__(self, job: Job, run_id: str, *, cancels: bool = False) -> None:
        """Read the run; LookupError when it has not begun. With `cancels` what is left of it is cancelled."""
        self._job = job
        self._cancels = cancels
        with database.of_process()[_ROLE].statements.connect() as connection:
            row = runs.find(connection, run_id, tenant_id=job.tenant_id)
            if row is None:
                raise LookupError(run_id)
            self._progress = Progress(runs.read_places(connection, run_id, tenant_id=job.tenant_id))
        self._row = row
        self._plan = plans.of(Pipeline.model_validate(row.document))
        self._offset = row.now - time.monotonic() * 1000
        self._until = time.monotonic() + _TURN_SECONDS
        self._updates: dict[str, Any] = {}
        self._away: Away | None = None
        """Why something could not be asked in this turn."""
        self._client = Client(
            job.config, tenant_id=job.tenant_id, owner=row.created_by, correlation_id=row.correlation_id
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many instances are in each state."""
        return self._progress.count()

    def take_turn(self) -> Ending | Rest:
        """Go on as far as is possible now; returns the run's end, whose rows `write` writes, or how it rests."""
        wait_seconds: float | None = None
        decision = Decision()
        try:
            # What a turn before this one may have sent without noting it.
            self._send()
            away = looking.look(self._client, self._progress, self._row, self._updates, now=self._now)
            self._away = away or self._away
            decision = self._go_on()
            if decision.ending is not None:
                return decision.ending
            if decision.again:
                wait_seconds = 0.0
        except Away as unanswered:
            self._away = unanswered
        finally:
            self._client.close()
        if self._away is not None:
            wait_seconds = float(self._away.retry_after_seconds or 5)
            _log.warning("run_waits_for_api", reason=self._away.message)
        if wait_seconds is None:
            wait_seconds = self._choose_rest_seconds(decision)
        self._updates["trouble"] = None if self._away is None else self._away.message[:500]
        return Rest(seconds=wait_seconds, interim={"steps": self.counts}, write=self.write)

    def _choose_rest_seconds(self, decision: Decision) -> float:
        idle_ms = self._now - max((each.since or 0 for each in self._progress.instances), default=self._now)
        rest = min(_LONGEST_REST_SECONDS, max(_SHORTEST_REST_SECONDS, _PART_OF_AGE * idle_ms / 1000))
        return rest if decision.next_at is None else min(rest, max(0.0, (decision.next_at - self._now) / 1000))

    def summarize(self) -> PipelineRun:
        """Summarize a run that has succeeded."""
        return summaries.summarize(self._row.pipeline, self._row.version, self._plan, self._state())

    def _go_on(self) -> Decision:
        """Decide and submit until nothing more can begin, or the turn has lasted long enough."""
        while True:
            decision = advancing.advance(self._plan, self._state(), max_submissions=submitting.MAX_AT_ONCE)
            self._progress.apply(decision, now=self._now, priority=self._job.priority)
            self._cancel_jobs(decision)
            has_refusals = self._send()
            if not (decision.again or has_refusals) or time.monotonic() > self._until:
                decision.again = decision.again or has_refusals
                return decision

    def _state(self) -> Run:
        return Run(
            id=self._row.id,
            params=self._row.params,
            instances=self._progress.instances,
            now=self._now,
            started_at=self._row.started_at,
            at=clock.to_text(self._row.at or self._row.started_at),
            cancel_requested=self._cancels,
        )

    @property
    def _now(self) -> int:
        return int(self._offset + time.monotonic() * 1000)

    def _send(self) -> bool:
        """Submit what is to be submitted, once that is written; returns whether anything was refused."""
        unsent = self._progress.list_unsent()
        if unsent and self._progress.has_changes():
            self._write_ahead()
        has_refusals = False
        for part in submitting.part(unsent):
            try:
                outcomes = submitting.submit(self._client, [place.submission or {} for place in part])
            except Away as away:
                # One role that is away keeps no other's steps from beginning.
                self._away = away
                continue
            for place, outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, Refused):
                    has_refusals = True
                    self._progress.note_refused(place.instance.key, outcome.message, now=self._now)
                else:
                    self._progress.note_submitted(place.instance.key, outcome)
        return has_refusals

    def _cancel_jobs(self, decision: Decision) -> None:
        keys = [(cancel.step, cancel.index) for cancel in decision.cancels if cancel.is_running]
        job_ids = [job_id for job_id in map(self._progress.find_job, keys) if job_id is not None]
        self._client.each(self._cancel_job, job_ids)

    def _cancel_job(self, job_id: str) -> None:
        try:
            self._client.post(f"/v1/jobs/{job_id}/cancel")
        except Refused as refusal:
            # It has ended by itself, which the next look shows, or its owner may no longer cancel it.
            _log.info("step_not_cancelled", step_job_id=job_id, status=refusal.status)

    def _write_ahead(self) -> None:
        """Write what is decided, if this attempt still has the job; raises FencedError."""
        with database.of_process()[_ROLE].transactions.begin() as connection:
            holds = offspring.write_interim(
                connection, self._job.id, attempt=self._job.attempt, interim={"steps": self.counts}
            )
            if not holds:
                raise FencedError
            self.write(connection)
        self._progress.note_written()

    def write(self, connection: sa.Connection) -> None:
        """Write what has changed, in a transaction that the job's row guards, and that may be repeated."""
        changes = self._progress.list_changes()
        runs.write_places(connection, self._row.id, changes, tenant_id=self._job.tenant_id)
        if self._updates:
            runs.update(connection, self._row.id, tenant_id=self._job.tenant_id, **self._updates)

    def write_end(self, connection: sa.Connection) -> None:
        """Write how the run ended."""
        self._updates |= {"ended_at": clock.now_ms(), "trouble": None}
        self.write(connection)

    def fail(self, ending: Ending) -> None:
        """Write the end of a run that has not succeeded, if this attempt still has the job, and raise why."""
        self._updates |= {"ended_at": clock.now_ms(), "trouble": None}
        self._write_ahead()
        raise errors.StepFailedError(ending.reason or f"the run is {ending.state}")


def begin(job: Job, command: RunPipeline) -> None:
    """Keep a run with what it begins with, unless it has begun."""
    engines = database.of_process()[_ROLE]
    with engines.statements.connect() as connection:
        if runs.find(connection, job.id, tenant_id=job.tenant_id) is not None:
            return
        version = job.pinned["pipeline"]["version"]
        begun = beginning.make(connection, command, tenant_id=job.tenant_id, version=version)
    with engines.transactions.begin() as connection:
        if not offspring.write_interim(connection, job.id, attempt=job.attempt, interim={"steps": {}}):
            raise FencedError
        runs.begin(
            connection,
            id=job.id,
            tenant_id=job.tenant_id,
            pipeline=command.pipeline,
            version=begun.version,
            document=begun.pipeline.to_stored(),
            params=begun.params,
            created_by=job.submitted_by,
            correlation_id=job.correlation_id,
            conducted_by=job.id,
            at=begun.at,
        )
        runs.write_places(connection, job.id, begun.places.values(), tenant_id=job.tenant_id)


def end_with(conductor: Conductor, result: contract.Result) -> Finish:
    """Return what writes a run's end with the result of the job that conducted it."""

    def finish(connection: sa.Connection) -> contract.Result:
        conductor.write_end(connection)
        return result

    return finish


def give_up(job: Job, run_id: str) -> Finish:
    """Return what ends a run whose steps nobody can find out about any more."""

    def finish(connection: sa.Connection) -> contract.Result:
        return WoundUp(cancelled=runs.give_up(connection, run_id, tenant_id=job.tenant_id))

    return finish
