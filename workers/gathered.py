"""One attempt at several jobs that are done together: one call of the body, and an end of its own for each.

docs/decisions/jobs.md, "Jobs that are alike are claimed and done together, and each ends by itself".
"""

from collections.abc import Sequence

import sqlalchemy as sa
import structlog

from shared import contract, database, faults, settings
from shared.jobs import ledger, offspring
from shared.jobs.states import State
from workers import failures, memory
from workers.attempt import TRANSIENT, Attempt
from workers.guard import Guard, Stop, Unguarded
from workers.job import GatheredBody, Job

_log = structlog.get_logger()

Outcome = contract.Result | BaseException


class GatheredAttempt:
    """One attempt at several jobs of a kind, from their claims to their ends."""

    def __init__(self, kind: contract.Kind, claims: Sequence[ledger.Claim], *, guard: Guard | Unguarded) -> None:
        """Begin an attempt at jobs that one process has claimed."""
        self._kind = kind
        self._claims = claims
        self._guard = guard
        self._engines = database.of_process()[kind.role]
        self._attempts = {
            claim.job_id: Attempt(kind, claim, guard=guard, next_claim_options=lambda: None) for claim in claims
        }
        self._any = self._attempts[claims[0].job_id]

    def run(self, body: GatheredBody) -> dict[str, str]:
        """Do the jobs and write how each ended; return, by id, why jobs failed, in a form that may be shown."""
        jobs = [Job(claim) for claim in self._claims]
        try:
            outcomes = self._find_outcomes(body, jobs)
        except Stop:
            return self._hand_back()
        finally:
            for job in jobs:
                job.discard()
        self._any.write_persistently(lambda: self._write(outcomes))
        errors = ((job_id, outcome) for job_id, outcome in outcomes.items() if isinstance(outcome, BaseException))
        return {job_id: failures.to_reason(error) for job_id, error in errors}

    def _find_outcomes(self, body: GatheredBody, jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Do the jobs, together if that works and else one by one; raises Stop."""
        with memory.limited(self._kind.role, config=settings.load()), self._guard.stoppable():
            together = self._try(body, jobs)
            shared = together[jobs[0].id]
            if len(jobs) == 1 or not isinstance(shared, BaseException) or _concerns_all(shared):
                return together
            _log.info("jobs_parted", jobs=len(jobs), error=failures.to_reason(shared))
            apart: dict[str, Outcome] = {}
            for job in jobs:
                apart |= self._try(body, [job])
            return apart

    def _try(self, body: GatheredBody, jobs: Sequence[Job]) -> dict[str, Outcome]:
        """Call the body for some jobs; an error is the outcome of all of them."""
        try:
            commands = [self._attempts[job.id].read_command() for job in jobs]
            return {job.id: result for job, result in zip(jobs, body(jobs, commands), strict=True)}
        except (Exception, SystemExit) as error:
            if self._guard.stopped:
                # Stop was raised inside a call of a library, which makes an error of its own of it.
                raise Stop from error
            return dict.fromkeys((job.id for job in jobs), self._any.explain(error))

    def _write(self, outcomes: dict[str, Outcome]) -> None:
        """Write all ends in one transaction, each only where the job is still this attempt's."""
        with self._engines.transactions.begin() as connection:
            ends = [end for claim in self._claims if (end := self._to_end(connection, claim, outcomes[claim.job_id]))]
            ended = ledger.finish_all(connection, ends)
            children = [claim.job_id for claim in self._claims if claim.parent_id and claim.job_id in ended]
            if children:
                offspring.wake_parents(connection, children)
        for end in ends:
            self._log_end(end, is_written=end.held.job_id in ended)

    def _to_end(self, connection: sa.Connection, claim: ledger.Claim, outcome: Outcome) -> ledger.End | None:
        """Build a job's end; None when it was put back into the queue, because its error may pass."""
        held = ledger.Held(claim.job_id, claim.attempt)
        if not isinstance(outcome, BaseException):
            return ledger.End(held=held, state=State.SUCCEEDED, result=outcome.model_dump(mode="json"))
        if self._attempts[claim.job_id].try_later(connection, outcome):
            return None
        with structlog.contextvars.bound_contextvars(job_id=claim.job_id):
            return ledger.End(held=held, state=State.FAILED, error=failures.log_and_describe(outcome))

    def _log_end(self, end: ledger.End, *, is_written: bool) -> None:
        if not is_written:
            _log.warning("job_fenced", job_id=end.held.job_id, attempt=end.held.attempt)
            return
        error = {"error": end.error[0]} if end.error else {}
        _log.info(f"job_{end.state}", job_id=end.held.job_id, attempt=end.held.attempt, **error)

    def _hand_back(self) -> dict[str, str]:
        for job_id, attempt in self._attempts.items():
            with structlog.contextvars.bound_contextvars(job_id=job_id):
                attempt.write_persistently(attempt.hand_back)
        return dict.fromkeys(self._attempts, "Stopped")


def _concerns_all(error: BaseException) -> bool:
    """Return whether an error is of what all jobs need, such as a store that is away, so that each would meet it."""
    return faults.find(error) is not None or isinstance(error, TRANSIENT)
