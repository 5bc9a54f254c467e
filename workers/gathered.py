"""One attempt at several jobs that are done together: one call of the body, and an end of its own for each.

docs/decisions/jobs.md, "Jobs that are alike are claimed and done together, and each ends by itself".
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database, faults, settings
from shared.jobs import ledger, offspring
from shared.jobs.states import State
from workers import failures, log_capture, logbook, memory
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
        with logbook.opened([attempt.book for attempt in self._attempts.values()]):
            return self._run(body)

    def _run(self, body: GatheredBody) -> dict[str, str]:
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
        log_capture.let_warnings_repeat()
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
        with _bound_to([self._attempts[job.id].claim for job in jobs]):
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
            for job_id in ended:
                self._attempts[job_id].book.write(connection)
            children = [claim.job_id for claim in self._claims if claim.parent_id and claim.job_id in ended]
            if children:
                offspring.wake_parents(connection, children)
        for end in ends:
            attempt = self._attempts[end.held.job_id]
            attempt.book.close()
            _log_end(end, attempt.claim, is_written=end.held.job_id in ended)

    def _to_end(self, connection: sa.Connection, claim: ledger.Claim, outcome: Outcome) -> ledger.End | None:
        """Build a job's end; None when it was put back into the queue, because its error may pass."""
        held = ledger.Held(claim.job_id, claim.attempt)
        if not isinstance(outcome, BaseException):
            return ledger.End(held=held, state=State.SUCCEEDED, result=outcome.model_dump(mode="json"))
        attempt = self._attempts[claim.job_id]
        with _bound_to([claim]):
            if attempt.try_later(connection, outcome):
                return None
            attempt.note_failure(outcome)
            return ledger.End(held=held, state=State.FAILED, error=failures.log_and_describe(outcome))

    def _hand_back(self) -> dict[str, str]:
        for claim in self._claims:
            attempt = self._attempts[claim.job_id]
            with _bound_to([claim]):
                attempt.write_persistently(attempt.hand_back)
        return dict.fromkeys(self._attempts, "Stopped")


def _log_end(end: ledger.End, claim: ledger.Claim, *, is_written: bool) -> None:
    names = _names_of(claim)
    if not is_written:
        _log.warning("job_fenced", **names)
        return
    _log.info(f"job_{end.state}", **names, **({"error": end.error[0]} if end.error else {}))


def _names_of(claim: ledger.Claim) -> dict[str, Any]:
    return {"job_id": claim.job_id, "attempt": claim.attempt, "correlation_id": claim.story_id}


@contextlib.contextmanager
def _bound_to(claims: Sequence[ledger.Claim]) -> Iterator[None]:
    """Let log lines name the job that is done; where several are done at once, a line that names none is of each."""
    first, *others = claims
    names = _names_of(first)
    with structlog.contextvars.bound_contextvars(**names):
        if others:
            structlog.contextvars.unbind_contextvars(*names)
            structlog.contextvars.bind_contextvars(with_job=first.job_id)
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("with_job")


def _concerns_all(error: BaseException) -> bool:
    """Return whether an error is of what all jobs need, such as a store that is away, so that each would meet it."""
    return faults.find(error) is not None or isinstance(error, TRANSIENT)
