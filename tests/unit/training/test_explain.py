"""Explanations are what scikit-learn and SHAP say of the same model and rows, and never grow without bound."""

import dataclasses
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import (
    base,
    compose,
    ensemble,
    inspection,
    linear_model,
    model_selection,
    naive_bayes,
    pipeline,
    preprocessing,
)

from shared import errors
from shared.figures import curves, importances
from shared.ml import predictions, targets
from shared.ml.metrics import drawing, sections
from shared.training import details, refinements
from shared.training.estimators.spec import Problem
from workers.training import refine
from workers.training.explanations import (
    dependence,
    explain,
    learning_curve,
    model_under_study,
    shap_values,
)

pytestmark = pytest.mark.slow

SEED = 5


def frame_of(*, rows: int = 200) -> pd.DataFrame:
    """Make a frame of numbers, a boolean and text."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "b": random.normal(size=rows),
            "flag": random.integers(2, size=rows).astype(float),
            "word": random.choice(["red", "green", "blue"], size=rows).astype(object),
        }
    )


def labels_of(frame: pd.DataFrame, *, classes: int = 2) -> np.ndarray:
    """Make labels that follow from a column of numbers and one of text."""
    height = frame["a"] + (frame["word"] == "red") + np.random.default_rng(1).normal(scale=0.4, size=len(frame))
    return np.array(["no", "yes", "sure"], dtype=object)[np.digitize(height, [0.4, 1.2][: classes - 1])]


def pipe(estimator: Any) -> pipeline.Pipeline:
    """Put a recipe before an estimator."""
    recipe = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), ["a", "b", "flag"]),
            ("text", preprocessing.OneHotEncoder(sparse_output=False), ["word"]),
        ],
        verbose_feature_names_out=False,
    )
    return pipeline.Pipeline([("recipe", recipe), ("estimator", estimator)])


def study_of(
    estimator: Any, frame: pd.DataFrame, values: np.ndarray, *, problem: Problem = "classification"
) -> model_under_study.ModelUnderStudy:
    """Make a model under study that fits and scores as scikit-learn does, by accuracy or R²."""
    parts = list(model_selection.KFold(3, shuffle=True, random_state=0).split(frame))

    def learn(rows: np.ndarray) -> pipeline.Pipeline:
        return pipe(base.clone(estimator)).fit(frame.iloc[rows], values[rows])

    def score(model: Any, given: pd.DataFrame, rows: np.ndarray) -> dict[str, float]:
        name = "r2" if problem == "regression" else "balanced_accuracy"
        return {name: model.score(given, values[rows])}

    return model_under_study.ModelUnderStudy(problem, frame, parts, learn, score, seed=SEED)


def test_permutation_importance_is_scikit_learns_on_held_out_rows() -> None:
    frame = frame_of()
    values = labels_of(frame)
    study = study_of(linear_model.LogisticRegression(), frame, values)
    found = explain.shuffle_columns(study, settings=importances.PermutationImportance(repeats=3))
    train, test = study.splits[0]
    model = pipe(linear_model.LogisticRegression()).fit(frame.iloc[train], values[train])
    direct = inspection.permutation_importance(
        model, frame.iloc[test], values[test], n_repeats=3, random_state=SEED, scoring="accuracy"
    )
    means = dict(zip(frame.columns, direct.importances_mean, strict=True))
    assert {one.column: one.mean for one in found.columns} == means
    assert [one.mean for one in found.columns] == sorted(means.values(), reverse=True)
    assert found.columns[0].column == "a"
    assert found.baseline == model.score(frame.iloc[test], values[test])
    assert (found.metric, found.rows) == ("balanced_accuracy", len(test))


@pytest.mark.parametrize("column", ["a", "flag", "word"])
@pytest.mark.parametrize("classes", [2, 3])
def test_partial_dependence_is_scikit_learns(column: str, classes: int) -> None:
    frame = frame_of()
    model = pipe(ensemble.RandomForestClassifier(10, random_state=0)).fit(frame, labels_of(frame, classes=classes))
    found = dependence.compute_partial_dependence(model, frame, columns=[column], points=12)
    direct = inspection.partial_dependence(
        model,
        frame,
        [column],
        categorical_features=["word"],
        grid_resolution=12,
        kind="average",
        method="brute",
        response_method="predict_proba",
    )
    assert [one.label for one in found] == (["yes"] if classes == 2 else ["no", "sure", "yes"])
    for one, means in zip(found, direct["average"], strict=True):
        assert one.values == direct["grid_values"][0].tolist()
        np.testing.assert_allclose(np.asarray(one.means, dtype=float), means, atol=1e-9)


def test_partial_dependence_of_a_number_is_of_what_is_predicted_and_missing_is_a_value_of_its_own() -> None:
    frame = frame_of()
    model = pipe(ensemble.HistGradientBoostingRegressor(max_iter=5)).fit(frame, frame["a"] * 2)
    frame.loc[:9, "a"] = np.nan
    [found] = dependence.compute_partial_dependence(model, frame, columns=["a"], points=5)
    assert found.label is None
    assert len(found.values) == 6
    assert found.values[-1] is None
    np.testing.assert_allclose(
        np.asarray(found.means[-1], dtype=float), model.predict(frame.assign(a=np.nan)).mean(), atol=1e-12
    )


def test_a_column_that_is_not_there_is_named_with_those_close_to_it() -> None:
    frame = frame_of()
    model = pipe(naive_bayes.GaussianNB()).fit(frame, labels_of(frame))
    with pytest.raises(errors.BadDataError, match="'words' \\(did you mean 'word'"):
        dependence.compute_partial_dependence(model, frame, columns=["words"], points=5)


def test_the_learning_curve_is_scikit_learns() -> None:
    frame = frame_of()
    values = labels_of(frame)
    study = study_of(linear_model.LogisticRegression(), frame, values)
    wanted = refinements.LearningCurve(fractions=[0.2, 0.6, 1.0])
    found = learning_curve.compute_learning_curve(study, settings=wanted, shuffled=True)
    sizes, train, test = model_selection.learning_curve(
        pipe(linear_model.LogisticRegression()),
        frame,
        values,
        train_sizes=[0.2, 0.6, 1.0],
        cv=study.splits,
        shuffle=True,
        random_state=SEED,
    )
    assert [point.rows for point in found.points] == sizes.tolist()
    assert [point.train for point in found.points] == train.tolist()
    assert [point.test for point in found.points] == test.tolist()


def test_a_part_that_nothing_can_be_learned_from_is_missing_from_the_learning_curve() -> None:
    frame = frame_of()
    values = labels_of(frame)
    whole = study_of(linear_model.LogisticRegression(), frame, values)

    def learn(rows: np.ndarray) -> Any:
        if len(rows) < 20:
            raise errors.BadModelError("too few")
        return whole.fit(rows)

    study = dataclasses.replace(whole, fit=learn)
    found = learning_curve.compute_learning_curve(
        study, settings=refinements.LearningCurve(fractions=[0.05, 1.0]), shuffled=True
    )
    assert found.points[0].test == [None, None, None]
    assert None not in found.points[1].test


@pytest.mark.parametrize(
    ("estimator", "explainer", "output"),
    [
        (ensemble.RandomForestClassifier(10, random_state=0), "tree", "probability"),
        (ensemble.HistGradientBoostingClassifier(max_iter=5), "tree", "decision"),
        (linear_model.LogisticRegression(), "linear", "decision"),
        (naive_bayes.GaussianNB(), "permutation", "probability"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_shares_add_up_to_what_the_model_says(estimator: Any, explainer: str, output: str, classes: int) -> None:
    frame = frame_of(rows=60)
    model = pipe(base.clone(estimator)).fit(frame, labels_of(frame, classes=classes))
    found = shap_values.explain(model, frame[:30], background=frame[30:], seed=0)
    assert (found.explainer, found.rows) == (explainer, 30)
    assert found.output == output
    assert [one.label for one in found.values] == (["yes"] if classes == 2 else ["no", "sure", "yes"])
    said = model.predict_proba(frame[:30]) if output == "probability" else model.decision_function(frame[:30])
    said = said[:, 1:] if output == "probability" and classes == 2 else said.reshape(30, -1)
    for place, one in enumerate(found.values):
        assert len(one.features) == 6
        total = one.base + sum(feature.mean for feature in one.features)
        assert total == pytest.approx(float(said[:, place].mean()), abs=1e-6)
        strengths = [feature.mean_absolute for feature in one.features]
        assert strengths == sorted(strengths, reverse=True)


def test_the_shares_are_shaps_own() -> None:
    frame = frame_of(rows=60)
    model = pipe(ensemble.RandomForestRegressor(10, random_state=0)).fit(frame, frame["a"] * 2)
    [found] = shap_values.explain(model, frame[:30], background=frame[30:], seed=0).values
    direct = shap_values.import_shap().TreeExplainer(model[-1]).shap_values(model[:-1].transform(frame[:30]))
    means = dict(zip(model[:-1].get_feature_names_out(), np.abs(direct).mean(axis=0), strict=True))
    assert {one.feature: one.mean_absolute for one in found.features} == pytest.approx(means, abs=1e-9)
    pairs = [pair for one in found.features if one.feature == "a" for pair in one.share_of_value]
    assert len(pairs) == 30
    assert [value for value, _ in pairs] == sorted(value for value, _ in pairs if value is not None)


def test_a_calibrated_model_is_explained_as_it_was_before() -> None:
    frame = frame_of(rows=60)
    values = labels_of(frame)
    refined = refine.refine(
        pipe(linear_model.LogisticRegression()),
        refine.Rows(frame, values),
        fit=lambda model, rows: model.fit(frame.iloc[rows], values[rows]),
        make_folds=lambda count: list(model_selection.StratifiedKFold(count).split(frame, values)),
        calibration=refinements.Calibration(folds=2),
        threshold=refinements.Threshold(value=0.3),
    )
    plain = pipe(linear_model.LogisticRegression()).fit(frame, values)
    found = [shap_values.explain(model, frame[:20], background=frame, seed=0) for model in (refined.model, plain)]
    assert found[0] == found[1]


def test_where_shap_is_not_installed_the_job_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of(rows=20)
    model = pipe(naive_bayes.GaussianNB()).fit(frame, labels_of(frame))
    monkeypatch.setitem(sys.modules, "shap", None)
    told = "SHAP isn't installed in this worker: install the extra `shap`"
    with pytest.raises(errors.BadModelError, match=told):
        shap_values.explain(model, frame, background=frame, seed=0)
    with pytest.raises(errors.BadModelError, match=told):
        explain.require_explainable("classification", frame, settings=refinements.Explain(shap=refinements.Shap()))


def test_everything_together_is_one_document_that_its_contract_takes_back() -> None:
    frame = frame_of()
    values = labels_of(frame)
    study = study_of(linear_model.LogisticRegression(), frame, values)
    model = study.fit(np.arange(len(frame)))
    held_out = sections.HeldOut(
        "classification",
        values,
        predictions.Predictions(model.predict(frame), probability=model.predict_proba(frame)),
        classes=targets.to_json(model.classes_),
    )
    wanted = refinements.Explain(
        permutation_importance=importances.PermutationImportance(repeats=1),
        partial_dependence=refinements.PartialDependence(columns=["a", "word"]),
        shap=refinements.Shap(rows=10),
        learning_curve=refinements.LearningCurve(fractions=[0.5, 1.0], max_folds=1),
    )
    told: list[float] = []
    found = explain.explain(
        model,
        held_out,
        study=study,
        settings=wanted,
        refined={"calibration": {"method": "sigmoid", "folds": 5}},
        report=lambda fraction, _: told.append(fraction),
    )
    assert set(found) == {
        *("calibration", "calibration_curve", "confusion", "learning_curve", "partial_dependence"),
        *("permutation_importance", "precision_recall", "roc", "shap"),
    }
    assert details.Details.model_validate_json(json.dumps(found, allow_nan=False)).roc
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("problem", "truth", "made", "parts"),
    [
        ("regression", np.arange(20.0), {"prediction": np.arange(20.0) + 1}, {"residuals"}),
        (
            "quantile",
            np.arange(20.0),
            {"prediction": np.arange(20.0), "quantiles": np.zeros((20, 2))},
            {"residuals", "quantiles"},
        ),
        (
            "multilabel",
            np.eye(2)[np.arange(20) % 2],
            {"prediction": np.eye(2)[np.arange(20) % 2], "probability": np.full((20, 2), 0.5)},
            {"labels", "roc", "precision_recall", "calibration_curve"},
        ),
        ("clustering", None, {"prediction": np.arange(20) % 3}, {"clusters"}),
        ("anomaly", None, {"prediction": np.zeros(20), "decision": np.arange(20.0)}, {"scores"}),
        (
            "anomaly",
            np.arange(20) % 3 - 1,
            {"prediction": np.zeros(20), "decision": np.arange(20.0)},
            {"scores", "roc", "precision_recall"},
        ),
    ],
)
def test_each_problem_has_its_own_curves(problem: Problem, truth: Any, made: dict[str, Any], parts: set[str]) -> None:
    held_out = sections.HeldOut(problem, truth, predictions.Predictions(**made), classes=["x", "y"], levels=[0.1, 0.9])
    assert set(sections.cap_size(sections.draw(held_out), document=details.Details)) == parts


def test_what_a_problem_has_not_can_not_be_explained() -> None:
    frame = frame_of().assign(seen=pd.Timestamp("2026-05-01", tz="UTC"))
    with pytest.raises(errors.BadModelError, match="not clustering") as refused:
        explain.require_explainable("clustering", frame, settings=refinements.Explain(shap=refinements.Shap()))
    assert refused.value.pointer == "#/params/explain/shap"
    wanted = refinements.Explain(partial_dependence=refinements.PartialDependence(columns=["seen"]))
    with pytest.raises(errors.BadDataError, match="column 'seen' holds times"):
        explain.require_explainable("classification", frame, settings=wanted)


def test_details_that_would_be_too_large_lose_their_largest_parts_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    roc = [
        drawing.compute_roc(drawing.ClassScores("x", random.random(5_000) < 0.5, random.random(5_000)))
        for _ in range(5)
    ]
    parts = {"roc": roc, "clusters": drawing.count_clusters(np.arange(3))}
    assert set(sections.cap_size(parts, document=details.Details)) == {"roc", "clusters"}
    monkeypatch.setattr(curves, "MAX_BYTES", 2_000)
    found = sections.cap_size(parts, document=details.Details)
    assert set(found) == {"clusters", "left_out"}
    assert found["left_out"] == ["roc: the details would be more than 2,000 bytes"]
