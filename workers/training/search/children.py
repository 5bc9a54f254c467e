"""A search's trials as its children tell of them."""

from collections.abc import Iterable
from typing import Any

from shared.jobs import offspring
from shared.jobs.states import State
from shared.training.search.results import TrialState
from workers.training.search.leaderboard import Trial

_MAX_ERROR = 300
_UNFINISHED: dict[State, TrialState] = {State.QUEUED: "waiting", State.RUNNING: "running"}


def trials_of(own: Iterable[offspring.Child], *, earlier: Iterable[offspring.Child] = ()) -> list[Trial]:
    """Give the trials in order of their numbers.

    Of those that an earlier job of the same search did, what succeeded is taken as it is; what didn't is a trial that
    waits and has no job, with the same parameters. The latest job's come first in `earlier`.
    """
    known = {trial.number: trial for trial in map(trial_of, own)}
    for child in earlier:
        trial = trial_of(child)
        if child.state != State.SUCCEEDED or trial.state == "out_of_time":
            trial = Trial(**_tried(child))
        if trial.number not in known or (trial.has_ended and not known[trial.number].job):
            known[trial.number] = trial
    return [known[number] for number in sorted(known)]


def trial_of(child: offspring.Child) -> Trial:
    """Give the trial that a child is."""
    metric = child.params["metric"]
    given = _tried(child) | {"job": child.id}
    if child.state == State.SUCCEEDED and child.result is not None:
        found = child.result
        folds = tuple(found["metrics"].get(metric, ()))
        return Trial(**given, state=found["state"], folds=folds, seconds=found["seconds"])
    if child.state in _UNFINISHED:
        return Trial(**given, state=_UNFINISHED[child.state], folds=tuple((child.interim or {}).get("folds", ())))
    told = f"{child.error_type}: {child.error_message}" if child.error_type else f"{child.state}"
    return Trial(**given, state="failed", error=told[:_MAX_ERROR])


def _tried(child: offspring.Child) -> dict[str, Any]:
    # Read as it stands, because checking hundreds of commands would take longer than a turn.
    params = child.params
    return {
        "number": params["trial"],
        "candidate": params["candidate"],
        "estimator": params["estimator"]["name"],
        "params": params["estimator"]["params"],
        "rung": params["rung"],
        "resource": params["rungs"][params["rung"]] if params["rungs"] else None,
    }
