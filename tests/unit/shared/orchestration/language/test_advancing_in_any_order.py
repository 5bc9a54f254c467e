"""Runs in which anything happens in any order: each ends in one state, and no attempt is submitted twice or too early.

`Keeper` asserts of each decision that it submits nothing twice and nothing before its needs, and takes no state for
another.
"""

from typing import Any

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from shared import errors
from shared.orchestration.language import document, runs, validation
from tests.unit.shared.orchestration.language.keeping import KINDS, Keeper, make_pipeline


@st.composite
def _pipelines(draw: st.DrawFn) -> document.Pipeline:
    names = [f"s{number}" for number in range(draw(st.integers(2, 6)))]
    steps = []
    for number, name in enumerate(names):
        earlier = names[:number]
        some = st.sampled_from(earlier) if earlier else st.nothing()
        step: dict[str, Any] = {"name": name, "needs": draw(st.lists(some, max_size=2, unique=True)) if earlier else []}
        step["retries"] = {"count": draw(st.integers(0, 2)), "wait_seconds": draw(st.sampled_from([0, 20]))}
        later = names[number + 1 :]
        handlers = [st.sampled_from(later)] if later else []
        step["on_failure"] = draw(st.one_of(st.sampled_from(["fail", "continue"]), *handlers))
        if earlier:
            other = draw(some)
            when = [None, f'{other}.state != "skipped"', f"{other}.ok", "false", f"{other}.ok < 1"]
            step["when"] = draw(st.sampled_from(when))
            step["params"] = draw(st.sampled_from([{}, {"value": f"${{{other}.ok}}"}]))
            step["for_each"] = draw(st.sampled_from([None, [], [1, 2], f"${{{other}.items}}"]))
        steps.append(step)
    pipeline = make_pipeline(*draw(st.permutations(steps)))
    hypothesis.assume(not validation.find_mistakes(pipeline, kinds=KINDS))
    return pipeline


class AnyOrder(stateful.RuleBasedStateMachine):
    """A run, what its jobs come to, and its end."""

    @stateful.initialize(pipeline=_pipelines())
    def begin(self, pipeline: document.Pipeline) -> None:
        self.pipeline = pipeline
        self.moves = 0
        self.start()

    def start(self) -> None:
        self.keeper = Keeper(self.pipeline)
        self.keeper.settle()

    def _running(self) -> list[runs.Key]:
        return sorted((key for key, row in self.keeper.rows.items() if row.state == "running"), key=str)

    @stateful.precondition(lambda self: self.keeper.ending is None and self._running())
    @stateful.rule(data=st.data(), state=st.sampled_from(["succeeded", "succeeded", "failed", "failed", "cancelled"]))
    def end_a_job(self, data: st.DataObject, state: runs.State) -> None:
        self.moves += 1
        step, index = data.draw(st.sampled_from(self._running()))
        retryable = state != "failed" or data.draw(st.integers(0, 3)) > 0
        self.keeper.end(step, index, state=state, retryable=retryable)
        # Several may end before somebody looks.
        if data.draw(st.booleans()):
            self.keeper.settle()

    @stateful.precondition(lambda self: self.keeper.ending is None)
    @stateful.rule(seconds=st.sampled_from([1, 30]))
    def look_later(self, seconds: int) -> None:
        self.keeper.pass_time(seconds)
        self.keeper.settle()

    @stateful.precondition(lambda self: self.keeper.ending is None and self.moves % 6 == 5)
    @stateful.rule()
    def cancel(self) -> None:
        self.keeper.cancel()
        self.keeper.settle()

    @stateful.precondition(lambda self: self.keeper.ending is not None)
    @stateful.rule()
    def resume(self) -> None:
        ending, before = self.keeper.ending, dict(self.keeper.rows)
        assert ending is not None
        try:
            resumption = self.keeper.resume()
        except errors.ConflictError:
            # There is something to be done again in whatever didn't succeed.
            assert ending.state == "succeeded"
            self.start()
            return
        touched = {*resumption.resets, *resumption.drops}
        assert all(key in touched for key, row in before.items() if row.state in ("failed", "cancelled"))
        self.keeper.settle()

    @stateful.invariant()
    def something_goes_on_until_the_end(self) -> None:
        keeper = self.keeper
        if keeper.ending is None:
            return
        assert all(row.state in runs.ENDED for row in keeper.rows.values())
        assert {row.step for row in keeper.rows.values()} == {step.name for step in keeper.pipeline.steps}
        if keeper.ending.state == "succeeded":
            may_fail = {step.name for step in keeper.pipeline.steps if step.on_failure == "continue"}
            bad = {row.step for row in keeper.rows.values() if row.state in ("failed", "cancelled")}
            assert bad <= may_fail

    def teardown(self) -> None:
        """Let all that runs succeed: then the run must end, whatever happened before."""
        if not hasattr(self, "keeper"):
            return
        for _ in range(200):
            if self.keeper.ending is not None:
                return
            for step, index in self._running():
                self.keeper.end(step, index)
            self.keeper.pass_time(100_000)
            self.keeper.settle()
        raise AssertionError(f"the run stands still: {self.keeper.states}")


AnyOrder.TestCase.settings = hypothesis.settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
test_any_order = pytest.mark.slow(AnyOrder.TestCase)
