"""What comes next in a run: the order, lists, failures, retries and cancelling, in single cases."""

import dataclasses
import time
from typing import Any

import pytest

from shared.orchestration.language import advancing, runs
from tests.unit.shared.orchestration.language.keeping import KINDS, MADE, Keeper, make_pipeline


def _keep(*steps: dict[str, Any], **fields: object) -> Keeper:
    keeper = Keeper(make_pipeline(*steps, **fields))
    keeper.settle()
    return keeper


def test_a_step_begins_when_all_it_needs_has_ended_and_gets_what_it_refers_to() -> None:
    keeper = _keep(
        {"name": "use", "params": {"value": "${load.items}", "dataset": "${load.dataset}"}, "needs": ["other"]},
        {"name": "load", "timeout_seconds": 60},
        {"name": "other"},
    )
    assert keeper.states == {"load": "running", "other": "running", "use": "waiting"}
    keeper.end("load")
    keeper.settle()
    assert keeper.states["use"] == "waiting"
    keeper.end("other")
    keeper.settle()
    last = keeper.submitted["run_1:0:use:1"]
    assert last.params == {"value": [1, 2], "dataset": "telco@3"}
    assert keeper.submitted["run_1:0:load:1"].timeout_seconds == 60
    keeper.end("use")
    keeper.settle()
    assert keeper.ending == runs.Ending(state="succeeded")


def test_a_list_makes_an_instance_of_each_item_and_later_steps_see_all_results() -> None:
    keeper = _keep(
        {"name": "load"},
        {"name": "each", "for_each": "${load.items}", "params": {"value": "no ${item}"}},
        {"name": "all", "params": {"value": ["${each.ok}", "${each[1].dataset}", "in ${each[0].dataset}"]}},
    )
    assert keeper.states == {"load": "running", "all": "waiting"}
    keeper.end("load")
    keeper.settle()
    assert keeper.submitted["run_1:0:each[1]:1"].params == {"value": "no 2"}
    keeper.end("each", 0)
    keeper.settle()
    assert keeper.states["all"] == "waiting"
    keeper.end("each", 1)
    keeper.settle()
    version = {"name": "telco", "version": 3}
    assert keeper.submitted["run_1:0:all:1"].params == {"value": [[True, True], version, "in telco@3"]}


def test_an_empty_list_is_done_at_once() -> None:
    keeper = _keep({"name": "each", "for_each": []}, {"name": "all", "params": {"value": "${each.ok}"}})
    assert keeper.states == {"each": "succeeded", "all": "running"}
    assert keeper.submitted["run_1:0:all:1"].params == {"value": []}


def test_a_condition_that_is_false_skips_the_step_and_what_needs_it() -> None:
    keeper = _keep(
        {"name": "a", "when": "params.go"},
        {"name": "b", "needs": ["a"]},
        {"name": "c", "when": 'a.state == "skipped"'},
        {"name": "each", "for_each": [1, 2, 3], "when": "item > 1"},
        params={"go": False},
    )
    assert keeper.states == {
        "a": "skipped", "b": "skipped", "c": "running", "each[0]": "skipped", "each[1]": "running", "each[2]": "running"
    }  # fmt: skip
    assert [keeper.rows[name, None].skip_cause for name in "ab"] == ["when", "needs"]


def test_after_a_failure_nothing_new_begins_and_the_run_fails_when_what_runs_has_ended() -> None:
    keeper = _keep({"name": "a"}, {"name": "b"}, {"name": "c", "needs": ["b"]}, {"name": "d", "needs": ["a"]})
    keeper.end("a", state="failed", error="no such column")
    keeper.settle()
    assert keeper.states == {"a": "failed", "b": "running", "c": "skipped", "d": "skipped"}
    assert keeper.ending is None
    keeper.end("b")
    keeper.settle()
    assert keeper.ending == runs.Ending(state="failed", step="a", reason="a failed: no such column")


def test_a_failure_that_may_be_lets_the_run_go_on() -> None:
    keeper = _keep(
        {"name": "a", "on_failure": "continue"},
        {"name": "needs-it", "needs": ["a"]},
        {"name": "takes-it", "params": {"value": "${a.ok}"}},
        {"name": "tells-it", "params": {"value": "${a.state}: ${a.error}"}},
    )
    keeper.end("a", state="failed", error="gone")
    keeper.settle()
    assert keeper.states == {"a": "failed", "needs-it": "running", "takes-it": "skipped", "tells-it": "running"}
    assert keeper.submitted["run_1:0:tells-it:1"].params == {"value": "failed: gone"}
    keeper.end("needs-it")
    keeper.end("tells-it")
    keeper.settle()
    assert keeper.ending == runs.Ending(state="succeeded")


@pytest.mark.parametrize("fails", [True, False])
def test_a_step_that_handles_a_failure_runs_then_and_only_then(fails: bool) -> None:
    keeper = _keep({"name": "a", "on_failure": "clean"}, {"name": "clean"}, {"name": "b", "needs": ["a"]})
    assert keeper.states["clean"] == "waiting"
    keeper.end("a", state="failed" if fails else "succeeded")
    keeper.settle()
    assert keeper.states["clean"] == ("running" if fails else "skipped")
    assert keeper.states["b"] == ("skipped" if fails else "running")
    keeper.end("clean" if fails else "b")
    keeper.settle()
    assert keeper.ending is not None
    assert (keeper.ending.state, keeper.ending.step) == (("failed", "a") if fails else ("succeeded", None))


def test_a_failed_step_is_tried_again_after_waits_that_double_but_not_when_that_is_of_no_use() -> None:
    keeper = _keep({"name": "a", "retries": {"count": 2, "wait_seconds": 30}})
    for number, wait in enumerate((30, 60), start=1):
        keeper.end("a", state="failed")
        decision = keeper.advance()
        assert [(retry.attempt, retry.wait_seconds) for retry in decision.retries] == [(number + 1, wait)]
        assert decision.next_at == keeper.run.now + wait * 1000
        keeper.pass_time(wait - 1)
        assert keeper.advance().submissions == []
        assert advancing.explain(keeper.pipeline, keeper.run)["a", None].kind == "retry"
        keeper.pass_time(1)
        assert [each.attempt for each in keeper.advance().submissions] == [number + 1]
    keeper.end("a", state="failed")
    keeper.settle()
    assert keeper.ending is not None
    assert keeper.ending.state == "failed"

    keeper = _keep({"name": "a", "retries": 3})
    keeper.end("a", state="failed", retryable=False)
    keeper.settle()
    assert keeper.ending is not None


def test_what_cannot_be_resolved_fails_the_step_and_says_why() -> None:
    keeper = _keep({"name": "a"}, {"name": "b", "params": {"value": "${a.items[5]}"}}, {"name": "c", "needs": ["a"]})
    keeper.end("a")
    keeper.settle()
    assert keeper.rows["b", None].error == "${a.items[5]} is not there: ${a.items} has 2 items, counted from 0"
    assert keeper.states["c"] == "skipped"
    assert keeper.ending is not None
    assert keeper.ending.state == "failed"


def test_cancelling_ends_what_waits_and_waits_for_what_runs() -> None:
    keeper = _keep(
        {"name": "a", "retries": 5}, {"name": "b", "needs": ["a"]}, {"name": "each", "for_each": "${a.items}"}
    )
    keeper.cancel()
    decision = keeper.advance()
    assert sorted((each.step, each.is_running) for each in decision.cancels) == [
        ("a", True), ("b", False), ("each", False)
    ]  # fmt: skip
    assert keeper.ending is None
    keeper.end("a", state="cancelled")
    keeper.settle()
    assert keeper.ending is not None
    assert keeper.ending.state == "cancelled"


def test_a_list_that_is_too_long_fails_the_step() -> None:
    pipeline = make_pipeline({"name": "a", "for_each": "${params.items}"}, params={"items": []})
    keeper = Keeper(pipeline, items=[0] * 10_001)
    keeper.settle()
    assert "10001 items" in str(keeper.rows["a", None].error)


def test_only_so_many_jobs_are_submitted_at_once() -> None:
    pipeline = make_pipeline({"name": "a", "for_each": list(range(30))})
    run = runs.Run(id="r", params={}, now=1)
    decision = advancing.advance(pipeline, run, kinds=KINDS, max_submissions=20)
    assert (len(decision.created), len(decision.submissions), decision.again) == (30, 20, True)


def test_waiting_steps_say_what_they_wait_for() -> None:
    keeper = _keep({"name": "a"}, {"name": "b", "needs": ["a"]}, {"name": "each", "for_each": "${b.items}"})
    waiting = advancing.explain(keeper.pipeline, dataclasses.replace(keeper.run, instances=list(keeper.rows.values())))
    assert {key: (each.kind, each.detail) for key, each in waiting.items()} == {
        ("b", None): ("needs", "waits for a (running)"),
        ("each", None): ("needs", "waits for b (waiting)"),
    }


def test_a_long_run_is_advanced_in_milliseconds() -> None:
    steps = [{"name": f"s{number}", "needs": [f"s{number - 1}"] if number else []} for number in range(1_000)]
    pipeline = make_pipeline(*steps)
    first = advancing.advance(pipeline, runs.Run(id="r", params={}, now=1), kinds=KINDS)
    instances = [
        dataclasses.replace(each, state="succeeded" if int(each.step[1:]) < 500 else "waiting", result=MADE)
        for each in first.created
    ]
    run = runs.Run(id="r", params={}, now=1, instances=instances)
    taken = []
    for _ in range(5):
        begun = time.thread_time()
        assert [each.step for each in advancing.advance(pipeline, run, kinds=KINDS).submissions] == ["s500"]
        taken.append(time.thread_time() - begun)
    assert min(taken) < 0.005
