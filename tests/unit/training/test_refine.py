"""Refined models are what scikit-learn makes of the same parts, see no held-out row, and can be stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    base,
    calibration,
    ensemble,
    linear_model,
    metrics,
    model_selection,
    naive_bayes,
    pipeline,
    preprocessing,
    svm,
)

from shared import digests, errors
from shared.ml import artifacts
from shared.training import refinements
from tests.unit.training import tables as unit_tables
from workers.training import refine, tables
from workers.training.splits.inner import MakeFolds, make_folds

pytestmark = pytest.mark.slow

NAMES = np.array(["no", "perhaps", "yes"], dtype=object)


def table(*, classes: int = 2, size: int = 240) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a frame of numbers, and labels that partly follow from them."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(size, 3)), columns=["a", "b", "c"])
    height = frame["a"] + 0.5 * frame["b"] ** 2 + random.normal(scale=0.7, size=size)
    return frame, NAMES[[0, 2] if classes == 2 else [0, 1, 2]][np.digitize(height, [0.5, 1.5][: classes - 1])]


def pipe(estimator: Any) -> pipeline.Pipeline:
    """Put a scaler before an estimator."""
    return pipeline.Pipeline([("recipe", preprocessing.StandardScaler()), ("estimator", estimator)])


def refined(
    estimator: Any,
    frame: pd.DataFrame,
    values: np.ndarray,
    *,
    seen: list[np.ndarray] | None = None,
    seed: int = 0,
    **wanted: Any,
) -> refine.Refined:
    """Refine a pipeline; `seen` gets the rows of every fit."""

    def fit(model: pipeline.Pipeline, places: np.ndarray) -> None:
        if seen is not None:
            seen.append(places)
        model.fit(frame.iloc[places], values[places])

    return refine.refine(
        pipe(estimator), refine.Rows(frame, values), fit=fit, make_folds=folds_of(values, seed=seed), **wanted
    )


def folds_of(values: np.ndarray, *, seed: int = 0, groups: np.ndarray | None = None) -> MakeFolds:
    """Return the function by which a fit without time splits its rows."""
    rows = tables.Table(pd.DataFrame(index=range(len(values))), values, groups=groups)
    asked = unit_tables.experiment(columns=[], problem="classification", estimator=unit_tables.estimator("GaussianNB"))
    return lambda count: make_folds(rows, experiment=asked, count=count, seed=seed, strata=values)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("estimator", [linear_model.LogisticRegression(), naive_bayes.GaussianNB()], ids=repr)
def test_calibration_is_scikit_learns_to_the_bit(estimator: Any, method: Any, classes: int) -> None:
    frame, values = table(classes=classes)
    made = refined(estimator, frame, values, calibration=refinements.Calibration(method=method, folds=4), seed=3)
    cv = model_selection.StratifiedKFold(4, shuffle=True, random_state=3)
    direct = calibration.CalibratedClassifierCV(pipe(base.clone(estimator)), method=method, cv=cv, ensemble=False)
    direct.fit(frame, values)
    np.testing.assert_array_equal(made.model.predict_proba(frame), direct.predict_proba(frame))
    np.testing.assert_array_equal(made.model.predict(frame), direct.predict(frame))
    assert made.details == {"calibration": {"method": method, "folds": 4}}


def test_calibration_uses_weights_as_scikit_learn_does() -> None:
    frame, values = table()
    weights = np.random.default_rng(1).integers(1, 5, size=len(values)).astype(float)
    model = pipe(linear_model.LogisticRegression())
    made = refine.refine(
        model,
        refine.Rows(frame, values, weights=weights),
        fit=lambda one, places: one.fit(frame.iloc[places], values[places], estimator__sample_weight=weights[places]),
        make_folds=folds_of(values),
        calibration=refinements.Calibration(folds=3),
    )
    cv = model_selection.StratifiedKFold(3, shuffle=True, random_state=0)
    direct = calibration.CalibratedClassifierCV(pipe(linear_model.LogisticRegression()), cv=cv, ensemble=False)
    with pytest.warns(UserWarning, match="sample_weight"):
        direct.fit(frame, values, sample_weight=weights, estimator__sample_weight=weights)
    np.testing.assert_allclose(made.model.predict_proba(frame), direct.predict_proba(frame), atol=1e-12)


def test_a_chosen_threshold_decides_what_the_model_says() -> None:
    frame, values = table()
    made = refined(
        linear_model.LogisticRegression(), frame, values, threshold=refinements.Threshold(maximise="f1", folds=4)
    )
    chosen = made.details["threshold"]
    assert isinstance(chosen, dict)
    said = made.model.predict(frame)
    np.testing.assert_array_equal(said == "yes", made.model.predict_proba(frame)[:, 1] >= chosen["value"])
    assert chosen["metric"] == "f1"
    scores = model_selection.cross_val_predict(
        pipe(linear_model.LogisticRegression()),
        frame,
        values,
        cv=model_selection.StratifiedKFold(4, shuffle=True, random_state=0),
        method="predict_proba",
    )[:, 1]
    assert chosen["score"] == pytest.approx(metrics.f1_score(values == "yes", scores >= chosen["value"]), abs=1e-9)


def test_a_given_threshold_costs_no_fit_more_and_is_taken_as_it_is() -> None:
    frame, values = table()
    seen: list[np.ndarray] = []
    made = refined(
        linear_model.LogisticRegression(), frame, values, seen=seen, threshold=refinements.Threshold(value=0.9)
    )
    assert len(seen) == 1
    np.testing.assert_array_equal(made.model.predict(frame) == "yes", made.model.predict_proba(frame)[:, 1] >= 0.9)
    assert made.details == {"threshold": {"value": 0.9, "positive": "yes"}}


def test_a_classifier_without_probabilities_has_its_threshold_on_the_decision() -> None:
    frame, values = table()
    made = refined(
        linear_model.RidgeClassifier(), frame, values, threshold=refinements.Threshold(maximise="balanced_accuracy")
    )
    chosen = made.details["threshold"]
    assert isinstance(chosen, dict)
    np.testing.assert_array_equal(
        made.model.predict(frame) == "yes", made.model.decision_function(frame) >= chosen["value"]
    )


def test_both_together_share_their_folds_and_the_threshold_is_for_calibrated_probabilities() -> None:
    frame, values = table()
    seen: list[np.ndarray] = []
    made = refined(
        linear_model.LogisticRegression(),
        frame,
        values,
        seen=seen,
        calibration=refinements.Calibration(folds=4),
        threshold=refinements.Threshold(maximise="f1"),
    )
    assert [len(places) for places in seen] == [180, 180, 180, 180, 240]
    chosen = made.details["threshold"]
    assert isinstance(chosen, dict)
    inner = made.model[-1].estimator
    assert isinstance(inner, calibration.CalibratedClassifierCV)
    np.testing.assert_array_equal(
        made.model.predict(frame) == "yes", made.model.predict_proba(frame)[:, 1] >= chosen["value"]
    )


def test_rows_of_a_group_are_never_on_both_sides() -> None:
    frame, values = table()
    groups = np.arange(len(values)) // 4
    seen: list[np.ndarray] = []
    model = pipe(linear_model.LogisticRegression())

    def fit(one: pipeline.Pipeline, places: np.ndarray) -> None:
        seen.append(places)
        one.fit(frame.iloc[places], values[places])

    refine.refine(
        model,
        refine.Rows(frame, values),
        fit=fit,
        make_folds=folds_of(values, groups=groups),
        calibration=refinements.Calibration(folds=3),
    )
    everything = set(range(len(values)))
    for places in seen[:-1]:
        assert not set(groups[places]) & set(groups[sorted(everything - set(places.tolist()))])


def test_without_refinements_the_model_is_fitted_once_and_is_the_plain_one() -> None:
    frame, values = table()
    seen: list[np.ndarray] = []
    made = refined(linear_model.LogisticRegression(), frame, values, seen=seen)
    assert len(seen) == 1
    assert isinstance(made.model[-1], linear_model.LogisticRegression)
    assert made.details == {}


@pytest.mark.parametrize(
    "wanted",
    [
        {"calibration": refinements.Calibration()},
        {"calibration": refinements.Calibration(method="isotonic")},
        {"threshold": refinements.Threshold(maximise="f1")},
        {"calibration": refinements.Calibration(method="isotonic"), "threshold": refinements.Threshold(value=0.3)},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "estimator", [linear_model.LogisticRegression(), ensemble.RandomForestClassifier(5, random_state=0)], ids=repr
)
def test_a_refined_model_is_stored_and_predicts_the_same(
    estimator: Any, wanted: dict[str, Any], tmp_path: Path
) -> None:
    frame, values = table()
    made = refined(base.clone(estimator), frame, values, **wanted)
    artifacts.save(made.model, tmp_path / "m")
    loaded = artifacts.load(tmp_path / "m", sha256=digests.of_file(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(frame), made.model.predict(frame))
    np.testing.assert_array_equal(loaded.predict_proba(frame), made.model.predict_proba(frame))
    artifacts.save(refined(base.clone(estimator), frame, values, **wanted).model, tmp_path / "again")
    assert digests.of_file(tmp_path / "again") == digests.of_file(tmp_path / "m")


def test_what_can_not_be_refined_is_refused_with_the_reason() -> None:
    frame, values = table(classes=3)
    with pytest.raises(errors.BadModelError, match="two classes, but there are 3"):
        refined(linear_model.LogisticRegression(), frame, values, threshold=refinements.Threshold(value=0.5))
    frame, values = table(size=40)
    values[:] = "no"
    values[:3] = "yes"
    with pytest.raises(errors.BadDataError, match="class 'yes' has 3 rows to fit on, fewer than the 5 folds"):
        refined(linear_model.LogisticRegression(), frame, values, calibration=refinements.Calibration())
    frame, values = table(classes=3)
    one_against_one = svm.SVC(decision_function_shape="ovo")
    many = np.array(["a", "b", "c", "d"], dtype=object)[np.arange(len(values)) % 4]
    with pytest.raises(errors.BadModelError, match="6 decisions per row for 4 classes"):
        refined(one_against_one, frame, many, calibration=refinements.Calibration())
