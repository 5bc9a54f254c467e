"""Rungs, rows and survivors are those of scikit-learn's HalvingRandomSearchCV."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets, linear_model, model_selection
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it makes the class below importable.

from shared import errors
from shared.training.search.commands import SearchModel
from shared.training.search.methods import Halving
from tests.unit.training.search import commands
from workers.training.search import halving, next_trials
from workers.training.search.leaderboard import Trial

pytestmark = pytest.mark.slow

X, Y = datasets.make_classification(600, 6, flip_y=0.2, random_state=0)
SPLITTER = model_selection.StratifiedKFold(3, shuffle=True, random_state=5)


def theirs(**given: Any) -> model_selection.HalvingRandomSearchCV:
    made = model_selection.HalvingRandomSearchCV(
        linear_model.LogisticRegression(max_iter=200),
        {"C": stats.loguniform(0.001, 100.0)},
        cv=SPLITTER,
        random_state=11,
        scoring="neg_log_loss",
        **{"n_candidates": 12, "min_resources": "exhaust", **given},
    )
    return made.fit(X, Y)


def play(command: SearchModel, rungs: list[int]) -> list[Trial]:
    """Run a search by halving, each trial scored as scikit-learn scores it."""
    parts = list(SPLITTER.split(X, Y))
    known: list[Trial] = []
    while not (turn := next_trials.plan_turn(command, known, rungs=rungs, is_late=False)).is_over:
        for trial in turn.to_start:
            params = {name: value for name, value in trial.params.items() if name != "max_iter" or value}
            by_rows = (command.search_settings.halving or Halving()).resource == "rows"
            fraction = rungs[trial.rung] / len(Y) if by_rows else 1.0
            folds = []
            for train, test in halving.shrink_splits(parts, fraction=fraction, seed=11):
                model = linear_model.LogisticRegression(**{"max_iter": 200, **params}).fit(X[train], Y[train])
                folds.append(float(-np.mean(np.log(model.predict_proba(X[test])[np.arange(len(test)), Y[test]]))))
            known.append(commands.ended(trial, folds=tuple(folds)))
    return known


def halved(**given: Any) -> SearchModel:
    space = {"C": commands.STRENGTH}
    how = {"method": "halving", "space": space, "trials": 12, "seed": 11, "metric": "log_loss", "parallel": 5}
    return commands.command(search={**how, "halving": given})


@pytest.mark.parametrize(
    ("ours", "others"),
    [
        ({}, {}),
        ({"factor": 2}, {"factor": 2}),
        ({"min_resources": 50, "max_resources": 300}, {"min_resources": 50, "max_resources": 300}),
        (
            {"min_resources": 200, "aggressive_elimination": True},
            {"min_resources": 200, "aggressive_elimination": True},
        ),
    ],
)
def test_a_search_by_rows_takes_scikit_learns_course(ours: dict[str, Any], others: dict[str, Any]) -> None:
    direct = theirs(**others)
    command = halved(**ours)
    rungs = halving.plan_rungs(
        command.search_settings.halving or Halving(),
        candidates=12,
        min_resources=halving.count_first_rung_rows(splits_count=3, classes=2),
        available=len(Y),
    )
    assert rungs == direct.n_resources_
    known = play(command, rungs)
    assert [trial.rung for trial in known] == direct.cv_results_["iter"].tolist()
    assert [trial.params for trial in known] == direct.cv_results_["params"]
    partly = np.array([rungs[trial.rung] < len(Y) for trial in known])
    assert partly.any()
    values = np.array([trial.value for trial in known])
    # On all rows scikit-learn shuffles them once more, which changes the last digits of a fit.
    np.testing.assert_allclose(values[partly], -direct.cv_results_["mean_test_score"][partly], rtol=0, atol=1e-12)
    np.testing.assert_allclose(values, -direct.cv_results_["mean_test_score"], rtol=0, atol=1e-4)


def test_a_search_by_rounds_takes_scikit_learns_course() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The first rungs don't converge, on purpose.
        direct = theirs(resource="max_iter", max_resources=60, min_resources=2)
        command = halved(resource="max_iter", max_resources=60, min_resources=2)
        rungs = halving.plan_rungs(
            command.search_settings.halving or Halving(), candidates=12, min_resources=1, available=len(Y)
        )
        assert rungs == direct.n_resources_
        known = play(command, rungs)
    assert [trial.params for trial in known] == direct.cv_results_["params"]
    np.testing.assert_allclose(
        np.array([trial.value for trial in known]), -direct.cv_results_["mean_test_score"], rtol=0, atol=1e-12
    )


def test_what_fails_never_goes_on() -> None:
    assert halving.select_survivors([0.1, None, 0.9, 0.5], factor=2, greater_is_better=True) == [3, 2]
    assert halving.select_survivors([0.1, None, 0.9, 0.5], factor=2, greater_is_better=False) == [3, 0]
    assert halving.select_survivors([None, None, 0.5], factor=1, greater_is_better=True) == [2]
    assert halving.select_survivors([None, None], factor=2, greater_is_better=True) == []


def test_a_rung_that_fails_altogether_ends_the_search() -> None:
    command = halved()
    known: list[Trial] = []
    while not (turn := next_trials.plan_turn(command, known, rungs=[66, 200, 600], is_late=False)).is_over:
        known += [commands.ended(trial, None) for trial in turn.to_start]
    assert len(known) == 12


def test_more_resources_than_there_are_is_an_error() -> None:
    with pytest.raises(errors.BadModelError, match="the first rung needs 700 rows and the last may have 600"):
        halving.plan_rungs(Halving(min_resources=700), candidates=9, min_resources=12, available=600)
