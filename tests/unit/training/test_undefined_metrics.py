"""A metric that is undefined on a fold is told of, with the fold and the reason, and its mean is of the others."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model, metrics

from shared.recipe.language import Recipe
from shared.recipe.numbers import Clip
from shared.training.validations import CrossValidation, HoldOut, Metric, TimeSeries
from tests.unit.training import tables
from workers.training import validation

ROWS = 120
BY_PLACE = CrossValidation(method="cross_validation", folds=3, group="place", stratified=False)
RAW = Recipe(steps=[Clip(op="clip", columns=["size"], method="fixed", least=-1e9, most=1e9)])


def places() -> pd.DataFrame:
    """Make rows of three places, of which one has no `yes` and the others have both labels."""
    random = np.random.default_rng(0)
    place = np.repeat(["a", "b", "c"], ROWS // 3)
    size = random.normal(size=ROWS)
    label = np.where((size + random.normal(size=ROWS) > 0) & (place != "b"), "yes", "no")
    return pd.DataFrame({"size": size, "place": place, "label": label})


def train(frame: pd.DataFrame, folder: Path, **more: Any) -> dict[str, Metric]:
    """Train without steps, and return the metrics."""
    return tables.train(frame, folder, wanted=RAW, **more).metrics


def find_fold(metric: Metric) -> tuple[int, str]:
    """Return the only fold on which a metric is undefined, and the reason."""
    [place] = metric.undefined
    assert [number for number, value in enumerate(metric.folds, start=1) if value is None] == [place.fold]
    return place.fold, place.reason


def test_a_group_without_a_class_has_no_area_and_is_told_of(tmp_path: Path) -> None:
    frame = places()
    found = train(frame, tmp_path, name="LogisticRegression", target="label", validation=BY_PLACE)
    areas = []
    for place in "ac":
        fitted = linear_model.LogisticRegression().fit(
            frame.loc[frame["place"] != place, ["size"]], frame.loc[frame["place"] != place, "label"]
        )
        held_out = frame[frame["place"] == place]
        areas.append(metrics.roc_auc_score(held_out["label"] == "yes", fitted.predict_proba(held_out[["size"]])[:, 1]))
    assert sorted(value for value in found["roc_auc"].folds if value is not None) == pytest.approx(sorted(areas))
    assert found["roc_auc"].mean == pytest.approx(np.mean(areas))
    assert found["roc_auc"].std == pytest.approx(np.std(areas))
    fold, reason = find_fold(found["roc_auc"])
    assert reason == "every row is of class 'no'"
    assert find_fold(found["average_precision"]) == (fold, reason)
    assert find_fold(found["recall"]) == (fold, "no row is of class 'yes'")
    for name in ("accuracy", "log_loss", "f1"):
        assert (len(found[name].folds), found[name].undefined) == (3, [])


def test_a_decision_without_probabilities_is_told_of_too(tmp_path: Path) -> None:
    found = train(places(), tmp_path, name="LinearSVC", target="label", validation=BY_PLACE)
    assert find_fold(found["roc_auc"])[1] == "every row is of class 'no'"
    assert "log_loss" not in found


def test_a_fold_of_one_row_or_of_one_value_has_no_r2(tmp_path: Path) -> None:
    day = np.r_[np.zeros(30), np.ones(30), 2, np.full(10, 3)]
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"day": day, "size": random.normal(size=71)})
    frame["price"] = np.where(day == 3, 7.0, frame["size"] + 2)
    found = train(
        frame,
        tmp_path,
        name="LinearRegression",
        problem="regression",
        target="price",
        validation=TimeSeries(method="time_series", time="day", folds=3),
    )
    assert [place.model_dump() for place in found["r2"].undefined] == [
        {"fold": 2, "reason": "there is one row only"},
        {"fold": 3, "reason": "the target is 7 in every row"},
    ]
    assert found["r2"].mean == found["r2"].folds[0] == pytest.approx(1.0)
    assert found["mean_absolute_error"].undefined == []


def test_an_error_relative_to_zero_is_told_of_on_every_fold(tmp_path: Path) -> None:
    frame = pd.DataFrame({"size": np.arange(40.0), "price": np.tile([0.0, 3.0], 20)})
    found = train(
        frame,
        tmp_path,
        name="LinearRegression",
        problem="regression",
        target="price",
        validation=HoldOut(method="hold_out", test_fraction=0.5, repeats=2),
    )
    error = found["mean_absolute_percentage_error"]
    assert (error.mean, error.std, error.folds) == (None, None, [None, None])
    assert [place.fold for place in error.undefined] == [1, 2]
    assert all(place.reason.endswith("of 20 rows") for place in error.undefined)


def test_a_class_that_no_row_to_fit_on_has_is_told_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=120), "day": np.repeat(np.arange(4), 30)})
    frame["label"] = random.choice(["x", "y"], size=120)
    frame.loc[30:40, "label"] = "z"
    found = train(
        frame,
        tmp_path,
        name="GaussianNB",
        target="label",
        validation=TimeSeries(method="time_series", time="day", folds=3),
    )
    assert find_fold(found["log_loss"]) == (1, "no row of class 'z' was fitted on")
    assert find_fold(found["f1_weighted"]) == (1, "no row of class 'z' was fitted on")
    # The first fold knows two classes, so it has metrics of two: these say nothing of three.
    assert found.keys().isdisjoint({"f1", "precision", "recall", "average_precision"})


def test_a_label_that_a_fold_lacks_leaves_the_mean_of_labels_undefined(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=ROWS), "place": np.repeat(["a", "b", "c"], ROWS // 3)})
    frame["tall"] = (frame["size"] > 0).astype(int)
    frame["rare"] = ((frame["place"] != "b") & (random.random(ROWS) < 0.4)).astype(int)
    found = train(
        frame,
        tmp_path,
        name="RandomForestClassifier",
        params={"n_estimators": 5},
        problem="multilabel",
        targets=["tall", "rare"],
        validation=BY_PLACE,
    )
    assert find_fold(found["roc_auc_macro"])[1] == "no row has the label 'rare'"
    assert found["f1_micro"].undefined == []


def test_anomalies_that_a_fold_lacks_are_told_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=ROWS), "place": np.repeat(["a", "b", "c"], ROWS // 3)})
    frame["odd"] = (frame["place"] == "a") & (np.abs(frame["size"]) > 1.5)
    found = train(frame, tmp_path, name="IsolationForest", problem="anomaly", target="odd", validation=BY_PLACE)
    assert {place.reason for place in found["roc_auc"].undefined} == {"no row is anomalous"}
    assert [value is None for value in found["recall"].folds].count(True) == 2


def test_a_mean_is_of_the_folds_that_have_a_value() -> None:
    found = validation.make_metric([1.0, None, 4.0], reasons={2: "so it is"})
    assert found.model_dump() == {
        "mean": 2.5,
        "std": 1.5,
        "folds": [1.0, None, 4.0],
        "undefined": [{"fold": 2, "reason": "so it is"}],
    }
