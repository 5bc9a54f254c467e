"""Moves a canary: each turn checks its gate, and appends what follows from that to the deployment's ledger.

Nothing is remembered between turns but what the database says, so any worker can take any turn. A move and the check
that led to it are one transaction, in which the deployment is locked and the attempt must still be the job's: a worker
that was cut off moves nothing.
"""

import dataclasses
import itertools
from typing import Any, Literal

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import ledger
from shared.prediction import changes
from shared.prediction.canaries import moves
from shared.prediction.canaries.document import Gate
from shared.prediction.contract import RolledOut, RollOut
from shared.prediction.tables import canary_checks
from workers.job import Finish, Job, Rest
from workers.prediction.canaries import gate, measures

Move = Literal["advance", "roll_back", "pause", "wait"]
_checks = canary_checks
_SECOND_MS = 1000
_KEPT = 1000
"""Checks that are kept of a canary, besides those that failed."""


@dataclasses.dataclass(frozen=True)
class History:
    """The earlier checks of a step."""

    last_at: int | None
    last_number: int
    """Of all steps together."""
    failures: int
    errors_in_a_row: int


def roll_out(job: Job, command: RollOut) -> Finish:
    """Take a turn: check, move, and rest until the next check; end when this job has nothing more to move."""
    with database.of_process()[job.role].transactions.begin() as connection:
        head = changes.lock(connection, tenant_id=job.tenant_id, name=command.deployment)
        if ledger.peek(connection, job.id, attempt=job.attempt) is None:
            # Another attempt has the job; what this one returns is rolled back.
            return RolledOut(status="replaced", revision=head.revision)
        canary = head.state.get("canary") if head.state else None
        if canary is None or canary["id"] != command.canary or canary["job"] != job.id:
            return RolledOut(status="replaced", revision=head.revision)
        if canary["status"] != "running":
            return RolledOut(status=canary["status"], revision=head.revision)
        return _Turn(connection, job, head).take()


class _Turn:
    """One turn, with the deployment locked."""

    def __init__(self, connection: sa.Connection, job: Job, head: sa.Row[Any]) -> None:
        self._connection = connection
        self._job = job
        self._head = head
        self._canary = head.state["canary"]
        self._gate = Gate.model_validate(self._canary["gate"])
        self._now = clock.read(connection)
        self._is_this = (
            _checks.c.tenant_id == job.tenant_id,
            _checks.c.deployment == head.name,
            _checks.c.canary == self._canary["id"],
        )
        self._history = self._read_history()

    def take(self) -> Finish:
        remaining = self._compute_remaining_ms()
        if remaining > 0:
            return Rest(seconds=remaining / _SECOND_MS)
        since = self._canary["since"]
        window = measures.Window(self._job.tenant_id, self._head.name, since)
        arms = gate.Arms(self._canary["model"], moves.list_stable(self._head.state))
        check = gate.check(self._connection, self._gate, window, arms)
        self._write(check)
        move = decide(check.verdict, self._history, self._gate, waited_ms=self._now - self._canary["waits_since"])
        return self._do(move, check)

    def _compute_remaining_ms(self) -> float:
        """Compute how long the next check has to wait: a worker may have been killed right after the last one."""
        earliest = self._canary["since"] + self._gate.initial_delay_seconds * _SECOND_MS
        if self._history.last_at is not None:
            earliest = max(earliest, self._history.last_at + self._gate.interval_seconds * _SECOND_MS)
        return float(earliest - self._now)

    def _do(self, move: Move, check: gate.Check) -> Finish:
        state, canary = self._head.state, self._canary
        steps = f"step {canary['step'] + 1} of {len(canary['steps'])}"
        reasons = " ".join(metric["reason"] for metric in check.metrics if metric["verdict"] == check.verdict)
        if move == "wait":
            return self._rest()
        if move == "pause":
            self._append(moves.pause(state, reason=reasons), "canary_paused", f"{steps} stayed inconclusive: {reasons}")
            return RolledOut(status="paused", revision=self._head.revision + 1)
        if move == "roll_back":
            ended = moves.end(state, status="rolled_back", reason=reasons)
            self._append(ended, "canary_rolled_back", f"{steps} was {check.verdict}: {reasons}")
            return RolledOut(status="rolled_back", revision=self._head.revision + 1)
        moved = moves.advance(state, at_ms=self._now)
        if moved["canary"]["status"] == "promoted":
            self._append(moved, "canary_promoted", f"{steps} passed: {reasons}")
            return RolledOut(status="promoted", revision=self._head.revision + 1)
        self._append(moved, "canary_advanced", f"{steps} passed: {reasons}")
        return self._rest()

    def _rest(self) -> Rest:
        return Rest(seconds=self._gate.interval_seconds)

    def _append(self, state: changes.State, action: changes.Action, reason: str) -> None:
        pins = changes.read_pins(self._connection, tenant_id=self._job.tenant_id, name=self._head.name)
        changes.append(
            self._connection,
            self._head,
            state,
            pins=changes.keep_needed(pins, state),
            author=changes.Author(action=action, changed_by=self._job.id, reason=reason),
        )

    def _write(self, check: gate.Check) -> None:
        self._connection.execute(
            sa.insert(_checks).values(
                tenant_id=self._job.tenant_id,
                deployment=self._head.name,
                canary=self._canary["id"],
                number=self._history.last_number + 1,
                step=self._canary["step"],
                checked_at=self._now,
                verdict=check.verdict,
                metrics=check.metrics,
            )
        )
        # What decides is kept: how often a step failed.
        old = _checks.c.number <= self._history.last_number - _KEPT
        self._connection.execute(sa.delete(_checks).where(*self._is_this, old, _checks.c.verdict != "fail"))

    def _read_history(self) -> History:
        of_step = _checks.c.step == self._canary["step"]
        fails = sa.case((sa.and_(of_step, _checks.c.verdict == "fail"), 1), else_=0)
        query = sa.select(
            sa.func.max(sa.case((of_step, _checks.c.checked_at))), sa.func.max(_checks.c.number), sa.func.sum(fails)
        )
        last_at, last_number, failures = self._connection.execute(query.where(*self._is_this)).one()
        verdicts = self._connection.execute(
            sa.select(_checks.c.verdict)
            .where(*self._is_this, of_step)
            .order_by(_checks.c.number.desc())
            .limit(self._gate.error_limit + 1)
        ).scalars()
        in_a_row = len(list(itertools.takewhile(lambda verdict: verdict == "error", verdicts)))
        return History(last_at, last_number or 0, failures=int(failures or 0), errors_in_a_row=in_a_row)


def decide(verdict: gate.Verdict, history: History, settings: Gate, *, waited_ms: int) -> Move:
    """Decide what follows from a check, given the earlier ones of its step; only a pass goes on."""
    if settings.dry_run:
        return "wait"
    if verdict == "fail":
        return "roll_back" if history.failures >= settings.failure_limit else "wait"
    if verdict == "error":
        return "roll_back" if history.errors_in_a_row >= settings.error_limit else "wait"
    if verdict == "pass":
        return "advance"
    if waited_ms < settings.max_wait_seconds * _SECOND_MS or settings.on_inconclusive == "wait":
        return "wait"
    return "pause" if settings.on_inconclusive == "pause" else "roll_back"
