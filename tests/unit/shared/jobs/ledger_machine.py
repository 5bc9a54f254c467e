"""A model of the job's life, and a state machine that plays it against the ledger."""

import dataclasses
from typing import Any

import hypothesis.stateful as st
from hypothesis import strategies

from shared.jobs import ledger, outbox
from shared.jobs.states import MAX_LOST, MOVES, State
from tests.unit.rig import FUTURE, PAST, TENANT, Rig, empty

AGAIN = ("ConnectionError", "The source did not answer.")
_SHIFTS = strategies.integers(min_value=-2, max_value=1)


@dataclasses.dataclass
class Model:
    """What a job's row must say."""

    tries_left: int
    state: State = State.QUEUED
    attempt: int = 0
    lost: int = 0
    effects: int = 0
    to_cancel: bool = False
    overdue: bool = False
    lease_over: bool = False
    due: bool = False
    """Its doorbell."""
    waits: bool = False
    """Until its time to be tried again."""

    def move(self, to: State) -> None:
        """Go to another state, if that is legal."""
        assert to in MOVES[self.state], f"{self.state} to {to}"
        self.state = to

    def give_up(self, *, lost: int) -> State:
        """Do what becomes of a running job that nobody works on; gives where it went."""
        self.lost += lost
        if self.to_cancel:
            self.move(State.CANCELLED)
        elif self.overdue:
            self.move(State.FAILED)
        elif self.lost >= MAX_LOST:
            self.move(State.DEAD)
        else:
            self.move(State.QUEUED)
            self.due, self.waits = True, False
        return self.state

    def holds(self, attempt: int) -> bool:
        """Tell whether an attempt has the job now."""
        return self.state == State.RUNNING and attempt == self.attempt


class LedgerMachine(st.RuleBasedStateMachine):
    """Does to the ledger what workers, sweepers, ringers, users and time do, in any order."""

    jobs = st.Bundle("jobs")
    engines: Any
    ledger: Any = ledger

    def __init__(self) -> None:
        """Begin with an empty database."""
        super().__init__()
        empty(self.engines)
        self.rig = Rig(self.engines, self.ledger)
        self.models: dict[str, Model] = {}

    @st.rule(target=jobs, tries=strategies.integers(min_value=1, max_value=3), dated=strategies.booleans())
    def accept(self, tries: int, dated: bool) -> str:
        """Accept a job."""
        job_id = self.rig.put(tries_left=tries, deadline_seconds=1000 if dated else None)
        self.models[job_id] = Model(tries_left=tries)
        return job_id

    @st.rule(job_id=jobs)
    def claim(self, job_id: str) -> None:
        """Answer a doorbell, maybe a stray one."""
        model = self.models[job_id]
        claim = self.rig.claim(job_id)
        assert (claim is not None) == (model.state == State.QUEUED and not model.waits and not model.overdue)
        if claim is not None:
            model.move(State.RUNNING)
            model.attempt += 1
            model.lease_over = False
            assert (claim.attempt, claim.tries_left) == (model.attempt, model.tries_left)

    @st.rule(job_id=jobs, shift=_SHIFTS, renews=strategies.booleans())
    def beat(self, job_id: str, shift: int, renews: bool) -> None:
        """Beat, or only look, as this attempt or another."""
        model = self.models[job_id]
        attempt = model.attempt + shift
        if renews:
            seen = self.rig.run(self.rig.ledger.beat, job_id, attempt=attempt, lease_seconds=60)
            model.lease_over = model.lease_over and not model.holds(attempt)
        else:
            seen = self.rig.run(self.rig.ledger.peek, job_id, attempt=attempt)
        assert seen == (ledger.Beat(model.to_cancel, model.overdue) if model.holds(attempt) else None)

    @st.rule(job_id=jobs, shift=_SHIFTS, state=strategies.sampled_from([State.SUCCEEDED, State.FAILED]))
    def finish(self, job_id: str, shift: int, state: State) -> None:
        """Finish with an effect, as this attempt or another."""
        model = self.models[job_id]
        accepted = self.rig.finish(job_id, attempt=model.attempt + shift, state=state)
        assert accepted == model.holds(model.attempt + shift)
        if accepted:
            model.move(state)
            model.effects += 1

    @st.rule(job_id=jobs, shift=_SHIFTS)
    def report(self, job_id: str, shift: int) -> None:
        """Report progress, as this attempt or another."""
        model = self.models[job_id]
        reported = self.rig.run(
            self.rig.ledger.report, job_id, attempt=model.attempt + shift, fraction=0.5, message="half"
        )
        assert reported == model.holds(model.attempt + shift)

    @st.rule(job_id=jobs, shift=_SHIFTS, waits=strategies.booleans())
    def try_again(self, job_id: str, shift: int, waits: bool) -> None:
        """Fail in a passing way, as this attempt or another."""
        model = self.models[job_id]
        allowed = model.holds(model.attempt + shift) and model.tries_left > 1 and not model.to_cancel
        wait = 1000 if waits else 0
        done = self.rig.run(ledger.try_again, job_id, attempt=model.attempt + shift, wait_seconds=wait, error=AGAIN)
        assert done == allowed
        if done:
            model.move(State.QUEUED)
            model.tries_left -= 1
            model.waits, model.due = waits, not waits

    @st.rule(job_id=jobs, shift=_SHIFTS)
    def postpone(self, job_id: str, shift: int) -> None:
        """Meet a passing fault, as this attempt or another."""
        model = self.models[job_id]
        allowed = model.holds(model.attempt + shift) and not model.to_cancel
        terms = {"wait_seconds": 0, "patience_seconds": 600, "error": AGAIN}
        done = self.rig.run(self.rig.ledger.postpone, job_id, attempt=model.attempt + shift, **terms)
        assert done == allowed
        if done:
            model.move(State.QUEUED)
            model.waits, model.due = False, True

    @st.rule(job_id=jobs, shift=_SHIFTS)
    def hand_back(self, job_id: str, shift: int) -> None:
        """Stop work from outside, as this attempt or another."""
        model = self.models[job_id]
        holds = model.holds(model.attempt + shift)
        swept = self.rig.run(self.rig.ledger.hand_back, job_id, attempt=model.attempt + shift)
        assert [moved.state for moved in swept] == ([model.give_up(lost=0)] if holds else [])

    @st.rule(job_id=jobs, shift=_SHIFTS, known=strategies.booleans())
    def lose(self, job_id: str, shift: int, known: bool) -> None:
        """Lose a worker: its keeper sees it die, or its lease runs out."""
        model = self.models[job_id]
        if known:
            holds = model.holds(model.attempt + shift)
            moved = self.rig.run(self.rig.ledger.lose, job_id, attempt=model.attempt + shift)
            assert [job.state for job in moved] == ([model.give_up(lost=1)] if holds else [])
        elif model.state == State.RUNNING:
            self.rig.lose(job_id)
            model.lease_over = True

    @st.rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        model = self.models[job_id]
        swept = self.rig.run(self.rig.ledger.cancel, job_id, tenant_id=TENANT)
        assert (swept is None) == model.state.is_terminal()
        if model.state == State.QUEUED:
            model.move(State.CANCELLED)
        model.to_cancel = model.to_cancel or swept is not None

    @st.rule(job_id=jobs)
    def let_the_deadline_pass(self, job_id: str) -> None:
        """Let a job's deadline pass."""
        self.models[job_id].overdue = True
        self.rig.change(job_id, deadline_at=PAST, stop_at=PAST)

    @st.rule(job_id=jobs)
    def let_the_wait_pass(self, job_id: str) -> None:
        """Let a job's time to be tried again come, and its doorbell fall due."""
        self.models[job_id].waits, self.models[job_id].due = False, True
        self.rig.change(job_id, run_after=PAST, ring_after=PAST)

    @st.rule()
    def sweep(self) -> None:
        """Sweep up what was lost and what is overdue."""
        lost = [key for key, model in self.models.items() if model.state == State.RUNNING and model.lease_over]
        assert self.rig.sweep() == {key: self.models[key].give_up(lost=1) for key in lost}
        late = [key for key, model in self.models.items() if model.state == State.QUEUED and model.overdue]
        for key in late:
            self.models[key].move(State.FAILED)
        assert sorted(moved.job_id for moved in self.rig.run(self.rig.ledger.sweep_overdue)) == sorted(late)

    @st.rule()
    def ring(self) -> None:
        """Ring what is due."""
        due = [key for key, model in self.models.items() if model.state == State.QUEUED and model.due]
        assert self.rig.ring(limit=1000) == sorted(due)
        for key in due:
            self.models[key].due = False

    @st.invariant()
    def rows_are_as_the_model_says(self) -> None:
        """Compare every row with its model."""
        rows, effects = self.rig.rows(), self.rig.effects_by_job()
        assert rows.keys() == self.models.keys()
        for job_id, model in self.models.items():
            row = rows[job_id]
            said = (row.state, row.attempt, row.lost, row.tries_left, bool(row.cancel_requested))
            assert said == (model.state, model.attempt, model.lost, model.tries_left, model.to_cancel)
            assert (row.finished_at is not None) == model.state.is_terminal()
            assert (row.lease_until is not None) == (model.state == State.RUNNING)
            assert effects.get(job_id, 0) == model.effects <= 1
            assert row.run_after < FUTURE

    def teardown(self) -> None:
        """See that what can't have committed has left no event."""
        events = self.rig.run(outbox.read, limit=10_000)
        assert len(events) == sum(model.effects for model in self.models.values())
