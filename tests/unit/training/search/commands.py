"""Searches and trials that several tests use."""

import dataclasses
from typing import Any

from shared.training.search.commands import SearchModel
from workers.training.search import leaderboard

STRENGTH = {"low": 0.001, "high": 100.0, "log": True}
MIXED = {
    "C": STRENGTH,
    "max_iter": {"int_low": 50, "int_high": 500},
    "fit_intercept": {"values": [True, False]},
}


def command(**given: Any) -> SearchModel:
    """Make a search, by default over the strength of a logistic regression."""
    usual: dict[str, Any] = {"name": "m", "dataset": "d@1", "target": "t", "problem": "classification"}
    if "estimators" not in given:
        usual["estimator"] = {"name": "LogisticRegression"}
        given.setdefault("search", {"space": {"C": STRENGTH}})
    return SearchModel.model_validate(usual | given)


def ended(trial: leaderboard.Trial, value: float | None = 0.5, **given: Any) -> leaderboard.Trial:
    """Return a trial as it is after it has finished, or failed when it has no value."""
    how = {"state": "failed"} if value is None else {"state": "finished", "folds": (value,)}
    return dataclasses.replace(trial, job=f"job-{trial.number}", **{**how, **given})


def started(trial: leaderboard.Trial) -> leaderboard.Trial:
    """Return a trial as it is while it runs."""
    return dataclasses.replace(trial, job=f"job-{trial.number}", state="running")
