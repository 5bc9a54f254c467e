"""Reads a search's trials from its child jobs."""

from collections.abc import Iterable
from typing import Any

from shared.jobs import offspring
from shared.jobs.states import State
from shared.training.search.results import TrialState
from workers.training.search.leaderboard import Trial

_MAX_ERROR = 300
_UNFINISHED: dict[State, TrialState] = {State.QUEUED: "waiting", State.RUNNING: "running"}


def read_trials(children: Iterable[offspring.Child], *, earlier: Iterable[offspring.Child] = ()) -> list[Trial]:
    """Read the trials, in order of their numbers.

    `earlier` are the children of earlier jobs of the same search, those of the latest job first. A trial that succeeded
    there is kept as it is; one that didn't becomes a waiting trial without a job, with the same parameters.
    """
    trials = {trial.number: trial for trial in map(read_trial, children)}
    for child in earlier:
        trial = read_trial(child)
        if child.state != State.SUCCEEDED or trial.state == "out_of_time":
            trial = Trial(**_read_params(child))
        if trial.number not in trials or (trial.has_ended and not trials[trial.number].job):
            trials[trial.number] = trial
    return [trials[number] for number in sorted(trials)]


def read_trial(child: offspring.Child) -> Trial:
    """Read the trial of one child."""
    metric = child.params["metric"]
    fields = _read_params(child) | {"job": child.id}
    if child.state == State.SUCCEEDED and child.result is not None:
        result = child.result
        folds = tuple(result["metrics"].get(metric, ()))
        return Trial(**fields, state=result["state"], folds=folds, seconds=result["seconds"])
    if child.state in _UNFINISHED:
        return Trial(**fields, state=_UNFINISHED[child.state], folds=tuple((child.interim or {}).get("folds", ())))
    error = f"{child.error_type}: {child.error_message}" if child.error_type else f"{child.state}"
    return Trial(**fields, state="failed", error=error[:_MAX_ERROR])


def _read_params(child: offspring.Child) -> dict[str, Any]:
    # Read without validation, because validating hundreds of commands would take longer than a turn.
    params = child.params
    return {
        "number": params["trial"],
        "candidate": params["candidate"],
        "estimator": params["estimator"]["name"],
        "params": params["estimator"]["params"],
        "rung": params["rung"],
        "resource": params["rungs"][params["rung"]] if params["rungs"] else None,
    }
