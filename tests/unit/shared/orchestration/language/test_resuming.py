"""Resuming: what is done again, what stays, and which edits are refused."""

import dataclasses
from typing import Any

import pytest

from shared import errors
from shared.orchestration.language import advancing, resuming
from tests.unit.shared.orchestration.language.keeping import KINDS, Keeper, make_pipeline


def _fail_in_the_middle() -> Keeper:
    keeper = Keeper(
        make_pipeline(
            {"name": "a", "params": {"value": "${params.size}"}},
            {"name": "b", "params": {"value": "${a.ok} ${params.size}"}},
            {"name": "c", "needs": ["b"]},
            {"name": "off", "needs": ["a"], "when": "false"},
            params={"size": 1},
        )
    )
    keeper.settle()
    keeper.end("a")
    keeper.settle()
    keeper.end("b", state="failed")
    keeper.settle()
    return keeper


def test_what_failed_and_what_needs_it_is_done_again_with_other_parameters() -> None:
    keeper = _fail_in_the_middle()
    resumption = keeper.resume(resuming.Edits(params={"size": 2}))
    assert resumption.resets == [("b", None), ("c", None)]
    keeper.settle()
    assert keeper.states == {"a": "succeeded", "b": "running", "c": "waiting", "off": "skipped"}
    assert keeper.submitted["run_1:1:b:1"].params == {"value": "true 2"}
    keeper.end("b")
    keeper.settle()
    keeper.end("c")
    keeper.settle()
    assert keeper.ending is not None
    assert keeper.ending.state == "succeeded"


def test_a_step_that_is_edited_is_done_again_even_if_it_succeeded() -> None:
    keeper = _fail_in_the_middle()
    edits = resuming.Edits.model_validate({"steps": {"a": {"params": {"value": "other"}}}})
    assert keeper.resume(edits).resets == [("a", None), ("b", None), ("c", None), ("off", None)]
    keeper.settle()
    assert keeper.submitted["run_1:1:a:1"].params == {"value": "other"}


def test_single_items_are_done_again_and_a_list_that_may_change_is_made_anew() -> None:
    steps: list[dict[str, Any]] = [
        {"name": "a", "for_each": [1, 2], "params": {"value": "${item}"}},
        {"name": "b", "for_each": "${a.ok}", "params": {"value": "${item}"}},
    ]
    keeper = Keeper(make_pipeline(*steps))
    keeper.settle()
    keeper.end("a", 0)
    keeper.end("a", 1, state="failed")
    keeper.settle()
    resumption = keeper.resume()
    assert (resumption.resets, resumption.drops) == ([("a", 1)], [("b", None)])
    keeper.settle()
    assert keeper.states == {"a[0]": "succeeded", "a[1]": "running"}
    keeper.end("a", 1)
    keeper.settle()
    assert keeper.states["b[1]"] == "running"


def test_a_run_may_go_on_with_another_version_of_its_pipeline() -> None:
    keeper = _fail_in_the_middle()
    latest = make_pipeline(
        {"name": "a", "params": {"value": "${params.size}"}},
        {"name": "b", "for_each": [1, 2], "params": {"value": "${a.ok} ${params.more}"}},
        {"name": "off", "needs": ["a"], "when": "false"},
        {"name": "new", "needs": ["b"]},
        params={"size": 1, "more": "x"},
    )
    run = dataclasses.replace(keeper.run, instances=list(keeper.rows.values()))
    resumption = resuming.resume(latest, run, previous=keeper.pipeline, kinds=KINDS)
    assert (resumption.resets, sorted(resumption.drops)) == ([], [("b", None), ("c", None)])
    assert resumption.params == {"size": 1, "more": "x"}
    left = [each for each in run.instances if each.key not in resumption.drops]
    run = dataclasses.replace(run, instances=left, params=resumption.params, resumes=1)
    decision = advancing.advance(resumption.pipeline, run, kinds=KINDS)
    assert [(each.step, each.index) for each in decision.submissions] == [("b", 0), ("b", 1)]


def test_a_condition_about_a_parameter_that_is_changed_is_asked_again() -> None:
    keeper = Keeper(
        make_pipeline({"name": "a"}, {"name": "b", "when": "params.go", "needs": ["a"]}, params={"go": False})
    )
    keeper.settle()
    keeper.end("a")
    keeper.settle()
    assert keeper.states == {"a": "succeeded", "b": "skipped"}
    keeper.resume(resuming.Edits(params={"go": True}))
    keeper.settle()
    assert keeper.states == {"a": "succeeded", "b": "running"}


@pytest.mark.parametrize(
    ("edits", "pointer", "detail"),
    [
        ({"params": {"siez": 2}}, "#/params/siez", "did you mean 'size'?"),
        ({"params": {"size": "big"}}, "#/params/size", "of the type number, and is the text 'big'"),
        ({"steps": {"z": {"params": {}}}}, "#/steps/z", "there is no step 'z'"),
        ({"steps": {"b": {"params": {"valeu": 1}}}}, "#/steps/1/params/valeu", "did you mean 'value'?"),
    ],
)
def test_edits_are_checked(edits: dict[str, Any], pointer: str, detail: str) -> None:
    keeper = _fail_in_the_middle()
    with pytest.raises(errors.InvalidRequestError) as refused:
        keeper.resume(resuming.Edits.model_validate(edits))
    assert [problem["pointer"] for problem in refused.value.problems] == [pointer]
    assert detail in refused.value.problems[0]["detail"]


def test_there_must_be_something_to_do_again() -> None:
    keeper = Keeper(make_pipeline({"name": "a"}))
    keeper.settle()
    with pytest.raises(errors.ConflictError, match="still under way: a"):
        keeper.resume()
    keeper.end("a")
    keeper.settle()
    with pytest.raises(errors.ConflictError, match="Nothing in this run failed"):
        keeper.resume()
