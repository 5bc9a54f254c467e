"""One attempt at a job: runs the body, and writes the job's end in one transaction with the body's rows."""

import dataclasses
import math
import random
import time
from collections.abc import Callable
from typing import Any

import pydantic
import sqlalchemy as sa
import structlog

from shared import contract, database, errors, faults, ids, roles, settings, telemetry
from shared.jobs import ledger, offspring, stories
from shared.jobs.states import State
from workers import failures, log_capture, logbook, memory
from workers.guard import Guard, Stop, Unguarded
from workers.job import Body, Finish, Job, Rest, Spawn, Write

_log = structlog.get_logger()
_LONGEST_RETRY_WAIT_SECONDS = 300.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0
_LONGEST_FAULT_WAIT_SECONDS = 30.0

TRANSIENT = (errors.RetryableError, ConnectionError, TimeoutError)
"""Errors after which the same job may succeed later, and which use up a try; passing faults are in `shared.faults`."""


@dataclasses.dataclass(frozen=True)
class ClaimedJob:
    """A claimed job, and the monotonic time, in seconds, just before the claim: its lease began no earlier."""

    claim: ledger.Claim
    since: float


class Attempt:
    """One attempt at a job, from the claim to the end."""

    def __init__(
        self,
        kind: contract.Kind,
        claim: ledger.Claim,
        *,
        guard: Guard | Unguarded,
        next_claim_options: Callable[[], dict[str, Any] | None],
    ) -> None:
        """Begin an attempt.

        `next_claim_options` returns the arguments for claiming the next job together with this one's end; None when no
        further job is to be claimed.
        """
        self._kind = kind
        self._guard = guard
        self.claim = claim
        self._next_claim_options = next_claim_options
        self.next: ClaimedJob | None = None
        """The job that was claimed together with this one's end."""
        self._engines = database.of_process()[kind.role]
        self._started = time.monotonic()
        self._has_succeeded = False
        self.book = logbook.Logbook(claim, role=kind.role)

    def run(self, body: Body) -> str | None:
        """Run the body and write how it ended; return the error's class and what may be shown of it when it failed."""
        context = Job(self.claim)
        with logbook.opened([self.book]), stories.within(context.correlation_id):
            return self._run(body, context)

    def _run(self, body: Body, context: Job) -> str | None:
        try:
            finish = self._work(body, context)
            if isinstance(finish, Rest):
                rest = finish
                self.write_persistently(lambda: self._rest(rest))
            else:
                outcome = finish
                self.write_persistently(lambda: self._succeed(outcome))
        except Stop:
            self.write_persistently(self.hand_back)
            return "Stopped"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a body raises ends its job only.
            if self._guard.stopped:
                # Stop was raised inside a call of duckdb or SQLite, which makes an error of its own of it.
                _log.info("job_stop_raised_as_error", **telemetry.describe(error))
                self.write_persistently(self.hand_back)
                return "Stopped"
            reason = self.explain(error)
            self.write_persistently(lambda: self._fail(reason))
            return failures.to_reason(reason)
        finally:
            context.discard(has_succeeded=self._has_succeeded)
        return None

    def _work(self, body: Body, context: Job) -> Finish:
        log_capture.let_warnings_repeat()
        with memory.limited(self._kind.role, config=settings.load()), self._guard.stoppable():
            finish = body(context, self.read_command())
            context.publish()
            return finish

    def read_command(self) -> contract.Command:
        """Read the job's parameters; PermanentError when they don't fit this worker's version."""
        try:
            return self._kind.command.model_validate(self.claim.params)
        except pydantic.ValidationError as invalid:
            raise errors.PermanentError("The job's parameters don't fit this worker's version.") from invalid

    def explain(self, error: BaseException) -> BaseException:
        """Return the error to write: another one where it comes of a lack of memory, which is then let go of."""
        lack = memory.explain(error, role=self._kind.role, config=settings.load())
        if lack is None:
            return error
        _log.error("job_error_raised", **telemetry.describe(error))
        memory.release(error)
        return lack

    def write_persistently(self, write: Callable[[], None]) -> None:
        """Write a job's end; while the database has a passing fault, retry until the keeper ends this process.

        The keeper then hands the job back. Without a keeper, retry for as long as nobody else can have claimed the job.
        """
        limit = math.inf if self._guard.has_keeper else time.monotonic() + settings.load().fence_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return write()
            except database.FAULTS as fault:
                if time.monotonic() + pause > limit:
                    _log.error("job_end_write_failed", **telemetry.describe(fault))
                    return None
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _succeed(self, outcome: contract.Result | Write) -> None:
        if isinstance(outcome, contract.Result) and self.claim.parent_id is None and self.book.is_empty():
            ended = self._succeed_and_claim_next(outcome)
        else:
            with self._engines.transactions.begin() as connection:
                result = outcome if isinstance(outcome, contract.Result) else outcome(connection)
                ended = self._end(connection, State.SUCCEEDED, result=result.model_dump(mode="json"))
        self._has_succeeded = ended
        self._log_end(State.SUCCEEDED, ended=ended)

    def _succeed_and_claim_next(self, result: contract.Result) -> bool:
        """Write the end of a job that keeps no rows, and claim the next job with it, if there is to be one.

        docs/decisions/statements.md, "A job's end and the next claim are one statement on PostgreSQL".
        """
        options = self._next_claim_options()
        if options is None:
            with self._engines.statements.begin() as connection:
                return self._end(connection, State.SUCCEEDED, result=result.model_dump(mode="json"))
        since = time.monotonic()
        claim = self.claim
        with self._engines.single_statement().begin() as connection:
            ended, next_claim = ledger.finish_and_claim_next(
                connection, claim.job_id, attempt=claim.attempt, result=result.model_dump(mode="json"), **options
            )
        self.next = None if next_claim is None else ClaimedJob(next_claim, since)
        return ended

    def _end(
        self,
        connection: sa.Connection,
        state: State,
        *,
        result: dict[str, Any] | None = None,
        error: tuple[str, str] | None = None,
    ) -> bool:
        """Write the end; roll everything back when another attempt has the job. Return whether the end was written."""
        claim = self.claim
        ended = ledger.finish(connection, claim.job_id, attempt=claim.attempt, state=state, result=result, error=error)
        if not ended:
            connection.rollback()
            return False
        self.book.write(connection)
        if claim.parent_id is not None:
            offspring.wake_parents(connection, [claim.job_id])
        return True

    def _rest(self, rest: Rest) -> None:
        """Put the job back into the queue, with rows and children, in one transaction; a cancelled job ends instead."""
        claim = self.claim
        with self._engines.transactions.begin() as connection:
            rests = offspring.rest(
                connection,
                claim.job_id,
                attempt=claim.attempt,
                wakes=claim.wakes,
                wait_seconds=rest.seconds,
                interim=rest.interim,
                tries=roles.ROLES[self._kind.role].tries,
            )
            if rests and rest.write is not None:
                rest.write(connection)
            if rests and rest.spawn:
                ledger.accept(connection, [self._build_child(spawn) for spawn in rest.spawn], ring_again_seconds=0)
            if rests:
                self.book.write(connection)
        if not rests:
            return self.hand_back()
        self.book.close()
        _log.info("job_turn_ended", spawned=len(rest.spawn))
        return None

    def _build_child(self, spawn: Spawn) -> ledger.NewJob:
        claim = self.claim
        role = spawn.kind.role
        if role != self._kind.role:
            raise ValueError(f"{self._kind.name} can't submit {spawn.kind.name}: another role has another database")
        return ledger.NewJob(
            id=ids.new_job_id(role),
            tenant_id=claim.tenant_id,
            kind=spawn.kind.name,
            params=spawn.command.model_dump(mode="json"),
            pinned=spawn.pinned,
            submitted_by=claim.submitted_by,
            tries_left=roles.ROLES[role].tries,
            priority=claim.priority,
            parent_id=claim.job_id,
            correlation_id=claim.story_id,
            traceparent=claim.traceparent,
        )

    def _log_end(self, state: State, *, ended: bool, error: str | None = None) -> None:
        """Log a committed end, or that it was rolled back."""
        self.book.close()
        if not ended:
            _log.warning("job_fenced")
            return
        seconds = round(time.monotonic() - self._started, 3)
        _log.info(f"job_{state}", seconds=seconds, **({"error": error} if error else {}))

    def _fail(self, error: BaseException) -> None:
        described = failures.log_and_describe(error)
        with self._engines.transactions.begin() as connection:
            if self.try_later(connection, error):
                return
            self.note_failure(error)
            ended = self._end(connection, State.FAILED, error=described)
        self._log_end(State.FAILED, ended=ended, error=failures.to_reason(error))

    def note_failure(self, error: BaseException) -> None:
        """Let the job's last line tell why it failed, as the log does."""
        self.book.end("job_failed", {"error": failures.to_reason(error)}, level="error")

    def try_later(self, connection: sa.Connection, error: BaseException) -> bool:
        """Put the job back into the queue if its error may pass; return whether it is there.

        docs/decisions/faults.md, "A passing fault uses up no try".
        """
        claim, wait, is_waiting = self.claim, 0.0, False
        is_passing = faults.find(error) is not None
        described = failures.describe(error)
        if is_passing:
            wait = self._draw_fault_wait_seconds()
            is_waiting = ledger.postpone(
                connection,
                claim.job_id,
                attempt=claim.attempt,
                wait_seconds=wait,
                patience_seconds=settings.load().fault_hours * 3600,
                error=described,
            )
        if not is_waiting and (is_passing or isinstance(error, TRANSIENT)):
            retry_after = error.retry_after_seconds if isinstance(error, errors.MillraceError) else None
            wait = max(self._draw_wait_seconds(), retry_after or 0.0)
            is_waiting = ledger.try_again(
                connection, claim.job_id, attempt=claim.attempt, wait_seconds=wait, error=described
            )
        if is_waiting:
            _log.info("job_retry_scheduled", error=failures.to_reason(error), wait_seconds=round(wait, 3))
            self.book.write(connection)
        return is_waiting

    def _draw_wait_seconds(self) -> float:
        """Draw a wait with full jitter: rand(0, min(300 s, base·2ⁿ)), n being the number of earlier failed tries."""
        failed = max(0, roles.ROLES[self._kind.role].tries - self.claim.tries_left)
        base = settings.load().retry_base_seconds
        return random.uniform(0, min(_LONGEST_RETRY_WAIT_SECONDS, base * 2**failed))  # noqa: S311 - jitter is no secret.

    def _draw_fault_wait_seconds(self) -> float:
        """Draw a wait that grows with the attempts, up to half a minute, so that work goes on soon after the fault."""
        longest = float(settings.load().retry_base_seconds * 2 ** min(self.claim.attempt, 10))
        return random.uniform(0.5, 1) * min(_LONGEST_FAULT_WAIT_SECONDS, longest)  # noqa: S311 - jitter is no secret.

    def hand_back(self) -> None:
        """Release the job, whose work was stopped."""
        with self._engines.transactions.begin() as connection:
            moved = ledger.hand_back(connection, self.claim.job_id, attempt=self.claim.attempt)
            if moved:
                self.book.add("job_stopped", {"state": moved[0].state})
                self.book.write(connection)
            if self.claim.parent_id is not None:
                offspring.wake_parents_of_ended(connection, moved)
        self.book.close()
        _log.info("job_stopped", state=moved[0].state if moved else None)
