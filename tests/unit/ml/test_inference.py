"""A loaded model predicts frames of any size, and says what is wrong with those it can't take."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model, model_selection, svm

from shared import errors
from shared.ml import artifacts, frames, inference
from shared.ml.values import unexpected_values
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute, Scale
from shared.training.estimators import allow_list
from tests.unit.ml import tables
from tests.unit.training import tables as training
from workers.training import models

pytestmark = pytest.mark.slow


def load(stored: tables.Stored) -> inference.Model:
    """Load a stored model as a worker does."""
    return inference.Model(stored.path, sha256=stored.sha256, signature=stored.signature, problem=stored.problem)


def test_predictions_are_those_of_the_pipeline(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="bought")
    pipeline = artifacts.load(stored.path, sha256=stored.sha256)
    frame = frames.read_frame(dataset)
    made = load(stored).predict(frame)
    np.testing.assert_array_equal(made.prediction, pipeline.predict(frame))
    np.testing.assert_array_equal(made.probability, pipeline.predict_proba(frame))


@pytest.mark.parametrize(
    "name", sorted(name for name, spec in allow_list.specs().items() if "classification" in spec.problems)
)
def test_every_classifiers_labels_are_its_own(tmp_path: Path, name: str) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    given: dict[str, Any] = {"without": ("bought",)}
    if name in ("ComplementNB", "MultinomialNB"):
        # They take no negative numbers, which the inferred recipe makes.
        given["wanted"] = Recipe(steps=[Impute(op="impute", columns=["weight"])])
        given["without"] = ("age", "member", "joined", "seen", "bought", "spent")
    params = {"reg_param": 0.5} if name == "QuadraticDiscriminantAnalysis" else {}
    estimator = models.make_estimator(training.estimator(name, params), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = tables.fit(dataset, tmp_path, estimator, target="town", **given)
    frame = frames.read_frame(dataset)
    said = artifacts.load(stored.path, sha256=stored.sha256).predict(frame)
    np.testing.assert_array_equal(load(stored).predict(frame).prediction, said)


def test_a_threshold_decides_and_not_the_greatest_probability(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    estimator = model_selection.FixedThresholdClassifier(linear_model.LogisticRegression(), threshold=0.9)
    stored = tables.fit(dataset, tmp_path, estimator, target="bought")
    frame = frames.read_frame(dataset)
    made = load(stored).predict(frame)
    assert made.probability is not None
    np.testing.assert_array_equal(made.prediction == "yes", made.probability[:, 1] >= 0.9)
    assert (made.prediction != np.where(made.probability[:, 1] > 0.5, "yes", "no")).any()


def test_equally_probable_classes_are_told_apart_as_the_estimator_does(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    # This loss clips probabilities, so that many rows have two classes at one half or three at one third.
    estimator = linear_model.SGDClassifier(
        loss="modified_huber", random_state=0, alpha=1e-9, eta0=9, learning_rate="constant"
    )
    stored = tables.fit(dataset, tmp_path, estimator, target="town", without=("bought",))
    frame = frames.read_frame(dataset)
    made = load(stored).predict(frame)
    assert made.probability is not None
    ties = (made.probability == made.probability.max(axis=1, keepdims=True)).sum(axis=1) > 1
    said = artifacts.load(stored.path, sha256=stored.sha256).predict(frame)
    most_probable = estimator.classes_[made.probability.argmax(axis=1)]
    assert (most_probable[ties] != said[ties]).any()
    np.testing.assert_array_equal(made.prediction, said)


def test_a_classifier_without_probabilities_gives_its_decisions(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    model = load(tables.fit(dataset, tmp_path, svm.LinearSVC(), target="bought"))
    made = model.predict(frames.read_frame(dataset))
    assert not model.has_probability
    assert made.probability is None
    assert made.decision is not None


def test_missing_values_that_a_model_can_not_take_are_located(tmp_path: Path) -> None:
    dataset = tables.write(tmp_path / "d.parquet", {"x": "number", "y": "boolean"}, x=[1, 2, 3, 4], y=[True, False] * 2)
    wanted = Recipe(steps=[Scale(op="scale", columns=["x"])])
    model = load(tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y", wanted=wanted))
    new = tables.write(tmp_path / "new.parquet", {"x": "number"}, x=[1, None])
    with pytest.raises(errors.BadDataError, match="can't take missing values, but there are some in 'x'"):
        model.predict(frames.read_frame(new))


@pytest.mark.parametrize(("width", "rows"), [(0, 65_536), (20, 65_536), (2048, 1024), (10**9, 1)])
def test_wide_tables_are_cut_into_fewer_rows(width: int, rows: int) -> None:
    assert inference.compute_batch_rows(width) == rows


def test_unexpected_values_are_counted_over_all_frames(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="bought")
    noticed = unexpected_values.UnexpectedValues(stored.signature)
    frame = frames.read_frame(dataset)
    noticed.observe(frame)
    assert noticed.warnings() == []
    frame.loc[[0, 1], "town"] = "Troms"
    frame.loc[3, "spent"] = np.nan
    noticed.observe(frame)
    noticed.observe(frame)
    assert noticed.warnings() == [
        "Column 'town' holds in 4 rows a category unseen in training, such as 'Troms'.",
        "Column 'spent' has no value in 2 rows; in training it always had one.",
    ]


def test_only_the_column_that_reaches_the_estimator_with_missing_values_is_named_with_its_row(tmp_path: Path) -> None:
    types: Any = {"filled": "number", "x": "number", "y": "boolean"}
    values: Any = {"filled": [None, 2, 3, 4], "x": [1, 2, 3, 5], "y": [True, False] * 2}
    dataset = tables.write(tmp_path / "d.parquet", types, **values)
    wanted = Recipe(
        steps=[Impute(op="impute", columns=["filled"], strategy="mean"), Scale(op="scale", columns=["filled", "x"])]
    )
    model = load(tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y", wanted=wanted))
    new = tables.write(
        tmp_path / "new.parquet", {"filled": "number", "x": "number"}, filled=[None] * 6, x=[1, 2, 3, 4, None, None]
    )
    messages = []
    for frame in frames.iterate_frames(new, batch_rows=3):
        try:
            model.predict(frame)
        except errors.BadDataError as error:
            messages.append(error.message)
    assert messages == ["this model can't take missing values, but there are some in 'x' (first in row 5)"]


def test_only_the_column_that_a_step_of_the_recipe_can_not_take_is_named_with_its_row(tmp_path: Path) -> None:
    types: Any = {"other": "number", "x": "number", "y": "boolean"}
    dataset = tables.write(
        tmp_path / "d.parquet", types, other=[1, None, 3, 4], x=[1, 2, 3, 5], y=[True, False, True, False]
    )
    steps: Any = [
        {"op": "bin", "columns": ["x"], "bins": 2},
        {"op": "impute", "columns": ["other"], "strategy": "median"},
    ]
    wanted = Recipe.model_validate({"steps": steps})
    model = load(tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y", wanted=wanted))
    new = tables.write(tmp_path / "new.parquet", {"other": "number", "x": "number"}, other=[None] * 3, x=[1, 2, None])
    with pytest.raises(errors.BadDataError, match=r"some in 'x' \(first in row 3\)$"):
        model.predict(frames.read_frame(new))
