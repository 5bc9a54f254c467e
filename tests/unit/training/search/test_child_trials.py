"""Trials are read from a search's children, those of an earlier job too."""

import dataclasses
from typing import Any

import pytest

from shared.jobs import offspring
from shared.jobs.states import State
from workers.training.search import child_trials

pytestmark = pytest.mark.slow

SUCCEEDED = {"state": "finished", "metrics": {"f1": [0.25, 0.75], "accuracy": [1.0]}, "seconds": 2.5, "warnings": []}


def child(number: int, state: State, **given: Any) -> offspring.Child:
    params = {
        "trial": number,
        "candidate": 1,
        "estimator": {"name": "GaussianNB", "params": {"var_smoothing": number / 10}},
        "metric": "f1",
        "rung": 0,
        "rungs": [],
    }
    empty = dict.fromkeys(("result", "interim", "error_type", "error_message"))
    return offspring.Child(**{**empty, "id": f"job-{number}", "state": state, "attempt": 1, "params": params, **given})


def test_a_child_has_its_trials_state() -> None:
    waiting = child_trials.read_trial(child(0, State.QUEUED))
    assert (waiting.state, waiting.job, waiting.folds, waiting.has_ended) == ("waiting", "job-0", (), False)
    running = child_trials.read_trial(child(1, State.RUNNING, interim={"folds": [0.5]}))
    assert (running.state, running.value, running.params) == ("running", 0.5, {"var_smoothing": 0.1})
    done = child_trials.read_trial(child(2, State.SUCCEEDED, result=SUCCEEDED))
    assert (done.state, done.value, done.seconds, done.has_ended) == ("finished", 0.5, 2.5, True)


def test_whatever_ends_a_child_badly_fails_its_trial_only() -> None:
    failed = child_trials.read_trial(child(0, State.FAILED, error_type="BadModelError", error_message="x" * 1000))
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.startswith("BadModelError: xxx")
    assert len(failed.error) == 300
    for state in (State.DEAD, State.CANCELLED):
        assert child_trials.read_trial(child(0, state, error_type=None)).error == state


def test_a_retried_search_takes_what_had_succeeded_and_begins_the_rest_again() -> None:
    late = {**SUCCEEDED, "state": "out_of_time", "metrics": {}}
    earlier = [
        child(0, State.SUCCEEDED, result=SUCCEEDED),
        child(1, State.CANCELLED),
        child(2, State.FAILED, error_type="E", error_message="m"),
        child(3, State.SUCCEEDED, result=late),
    ]
    known = child_trials.read_trials([], earlier=earlier)
    assert [(trial.state, trial.job) for trial in known] == [
        ("finished", "job-0"),
        ("waiting", ""),
        ("waiting", ""),
        ("waiting", ""),
    ]
    assert [trial.params["var_smoothing"] for trial in known] == [0.0, 0.1, 0.2, 0.3]


def test_the_searchs_own_trials_go_before_earlier_ones_and_the_latest_earlier_ones_before_older() -> None:
    own = [dataclasses.replace(child(1, State.RUNNING), id="own")]
    latest = [dataclasses.replace(child(0, State.SUCCEEDED, result=SUCCEEDED), id="latest"), child(1, State.CANCELLED)]
    older = [
        dataclasses.replace(child(0, State.SUCCEEDED, result=SUCCEEDED), id="older"),
        dataclasses.replace(child(2, State.SUCCEEDED, result=SUCCEEDED), id="older-2"),
    ]
    known = child_trials.read_trials(own, earlier=[*latest, *older])
    assert [trial.job for trial in known] == ["latest", "own", "older-2"]


def test_what_succeeded_long_ago_goes_before_what_was_cancelled_since() -> None:
    earlier = [child(0, State.CANCELLED), dataclasses.replace(child(0, State.SUCCEEDED, result=SUCCEEDED), id="first")]
    assert [trial.job for trial in child_trials.read_trials([], earlier=earlier)] == ["first"]
