"""No cut of a time series is inside equal times, wherever rows are split by time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics, model_selection, tree

from shared import errors
from shared.recipe.categories import OneHot
from shared.recipe.columns import Drop
from shared.recipe.language import Recipe
from shared.training import refinements
from shared.training.refinements import Conformal
from shared.training.validations import TimeSeries
from tests.unit.training import tables
from workers.training.splits import by_time

YEARS = np.array([2021, 2022, 2023])
TEAMS = ["red", "blue", "green", "white"]
BY_TEAM = Recipe(steps=[OneHot(op="one_hot", columns=["team"])])


def seasons() -> pd.DataFrame:
    """Make years in which each team scores anew, so that nothing can be known before a year has begun."""
    random = np.random.default_rng(5)
    year, team = np.repeat(YEARS, 100), np.tile(np.arange(4), 75)
    level = random.normal(size=(3, 4))
    goals = level[year - 2021, team] + random.normal(scale=0.05, size=300)
    frame = pd.DataFrame({"year": year, "team": np.array(TEAMS)[team], "goals": goals})
    return frame.sample(frac=1.0, random_state=1).reset_index(drop=True)


def scores_by_hand(frame: pd.DataFrame) -> list[float]:
    """Score each year by a tree that was fitted on the years before."""
    features, year, goals = pd.get_dummies(frame["team"]).to_numpy(float), frame["year"].to_numpy(), frame["goals"]
    scores = []
    for first in YEARS[1:]:
        fitted = tree.DecisionTreeRegressor(random_state=0).fit(features[year < first], goals[year < first])
        scores.append(metrics.r2_score(goals[year == first], fitted.predict(features[year == first])))
    return scores


def train(folder: Path, *, folds: int, name: str = "DecisionTreeRegressor", **more: Any) -> Any:
    """Train on the seasons, from the teams alone."""
    validation = TimeSeries(method="time_series", time="year", folds=folds)
    frame = seasons()
    return tables.train(
        frame,
        folder,
        name=name,
        target="goals",
        problem="regression",
        wanted=Recipe(steps=[Drop(op="drop", columns=["year"]), *BY_TEAM.steps]),
        validation=validation,
        **more,
    )


@pytest.mark.parametrize("folds", [2, 5])
def test_no_fold_is_scored_on_a_year_that_it_was_fitted_on(tmp_path: Path, folds: int) -> None:
    found = train(tmp_path, folds=folds)
    wanted = scores_by_hand(seasons())
    assert max(wanted) < 0
    np.testing.assert_allclose(found.metrics["r2"].folds, wanted)
    notes = [note for note in found.notes if "folds in time" in note]
    fewer = "there are 2 folds in time instead of 5: the rows have only 3 different times, and rows of the same time"
    assert notes == ([] if folds == 2 else [f"{fewer} are never separated"])


@pytest.mark.parametrize("method", ["split", "cross"])
def test_intervals_are_as_wide_as_the_next_year_makes_them(tmp_path: Path, method: Any) -> None:
    frame = seasons()
    frame.loc[frame["year"] == YEARS[0], "year"] = 2020 + np.arange(100) % 2
    dataset = frame.assign(goals=frame["goals"] + 10.0 * (frame["year"] - 2020))
    found = tables.train(
        dataset,
        tmp_path,
        name="DecisionTreeRegressor",
        target="goals",
        problem="regression",
        wanted=Recipe(steps=[Drop(op="drop", columns=["year"]), *BY_TEAM.steps]),
        validation=TimeSeries(method="time_series", time="year", folds=2),
        conformal=Conformal(method=method, confidence=0.8, fraction=0.1, folds=5),
    )
    # Each year is about 10 more than the last, while errors within a year are 0.05.
    assert tables.mean(found, "mean_width") > 10
    assert (method == "cross") == any("inside a fit there are" in warning for warning in found.warnings)


def test_calibration_and_thresholds_and_early_stopping_hold_out_whole_times(tmp_path: Path) -> None:
    frame = seasons()
    frame["year"] = np.repeat(np.arange(2010, 2022), 25)
    frame["won"] = np.where(frame.pop("goals") > 0, "yes", "no")
    given: list[dict[str, Any]] = [
        {"name": "GaussianNB", "calibration": refinements.Calibration(folds=2)},
        {"name": "GaussianNB", "threshold": refinements.Threshold(maximise="f1", folds=2)},
        {"name": "HistGradientBoostingClassifier", "early_stopping": refinements.EarlyStopping(fraction=0.3)},
    ]
    seen: list[tuple[Any, Any]] = []
    make_folds, hold_out = by_time.make_folds, by_time.hold_out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_time, "make_folds", lambda times, **how: _keep(seen, times, make_folds(times, **how)))
        patch.setattr(by_time, "hold_out", lambda times, **how: _keep(seen, times, [hold_out(times, **how)])[0])
        for more in given:
            validation = TimeSeries(method="time_series", time="year", folds=2)
            tables.train(frame, tmp_path, target="won", wanted=BY_TEAM_WITHOUT_YEAR, validation=validation, **more)
    # For each model the outer folds, and once inside each of these and the last fit.
    assert len(seen) == 3 * 4
    for times, splits in seen:
        for train_rows, held_out in splits:
            assert times[train_rows].max() < times[held_out].min()


BY_TEAM_WITHOUT_YEAR = Recipe(steps=[Drop(op="drop", columns=["year"]), *BY_TEAM.steps])


def _keep(seen: list[tuple[Any, Any]], times: Any, splits: Any) -> Any:
    seen.append((times, splits))
    return splits


@pytest.mark.parametrize("folds", [2, 3, 5, 11])
def test_whole_months_are_split_as_scikit_learn_splits_months(folds: int) -> None:
    months = np.repeat(np.arange(12), 30)
    shuffled = np.random.default_rng(0).permutation(months)
    wanted = model_selection.TimeSeriesSplit(folds).split(np.arange(12))
    for ours, theirs in zip(by_time.make_folds(shuffled, folds=folds), wanted, strict=True):
        for rows, which in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.unique(shuffled[rows]), which)
            assert len(rows) == 30 * len(which)


def test_distinct_times_are_split_as_scikit_learn_splits_rows() -> None:
    times = np.random.default_rng(0).permutation(97)
    order = np.argsort(times)
    options: list[dict[str, Any]] = [
        {},
        {"gap": 4},
        {"test_size": 9},
        {"max_train_size": 20},
        {"gap": 3, "test_size": 10, "max_train_size": 11},
    ]
    for option in options:
        names = {"test_size": "test_rows", "max_train_size": "max_train_rows"}
        made = by_time.make_folds(times, folds=4, **{names.get(name, name): value for name, value in option.items()})
        wanted = model_selection.TimeSeriesSplit(4, **option).split(order)
        for ours, theirs in zip(made, wanted, strict=True):
            np.testing.assert_array_equal(ours[0], order[theirs[0]])
            np.testing.assert_array_equal(ours[1], order[theirs[1]])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_ties_a_time_is_on_one_side(seed: int) -> None:
    random = np.random.default_rng(seed)
    # Times beyond 2^53 that differ by one, of which some have many rows and most have few.
    times = 2**60 + np.minimum(random.geometric(0.05, size=400), 60)
    folds, gap = int(random.integers(2, 12)), int(random.integers(0, 20))
    made = by_time.make_folds(times, folds=folds, gap=gap, max_train_rows=200)
    assert len(made) == folds
    held_out = np.concatenate([later for _, later in made])
    assert len(held_out) == len(np.unique(held_out))
    for earlier, later in made:
        assert times[earlier].max() < times[later].min()
        assert len(earlier) <= 200
        # Whole times only, and the gap in between.
        for rows in (earlier, later):
            assert np.isin(times, times[rows]).sum() == len(rows)
        between = (times > times[earlier].max()) & (times < times[later].min())
        assert between.sum() >= gap


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_the_latest_times_are_held_out(fraction: float) -> None:
    times = np.repeat([3, 1, 4, 2], [10, 50, 10, 30])
    earlier, later = by_time.hold_out(times, fraction=fraction)
    # The cuts are before rows 50, 80 and 90, by hand.
    wanted = {0.01: 10, 0.2: 20, 0.5: 50, 0.99: 50}[fraction]
    assert len(later) == wanted
    assert times[earlier].max() < times[later].min()


@pytest.mark.parametrize(
    "make", [lambda t: by_time.make_folds(t, folds=3), lambda t: by_time.hold_out(t, fraction=0.2)]
)
def test_one_time_only_can_not_be_split(make: Any) -> None:
    with pytest.raises(errors.BadDataError, match=r"1 time only|the same time"):
        make(np.full(50, 7))


@pytest.mark.parametrize(
    "more",
    [
        {"calibration": refinements.Calibration(folds=2)},
        {"threshold": refinements.Threshold(maximise="f1", folds=2)},
        {"early_stopping": refinements.EarlyStopping(), "name": "HistGradientBoostingClassifier"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_fold_with_one_time_to_fit_on_is_refused_with_what_helps(tmp_path: Path, more: dict[str, Any]) -> None:
    frame = seasons()
    frame["won"] = np.where(frame.pop("goals") > 0, "yes", "no")
    validation = TimeSeries(method="time_series", time="year", folds=2)
    given: dict[str, Any] = {"name": "GaussianNB", "target": "won", "wanted": BY_TEAM_WITHOUT_YEAR} | more
    with pytest.raises(errors.BadDataError, match=r"1 time only|the same time") as caught:
        tables.train(frame, tmp_path, validation=validation, **given)
    assert "give fewer `folds` of the validation, or leave out what holds out rows inside a fit" in caught.value.message
