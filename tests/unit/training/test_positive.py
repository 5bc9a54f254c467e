"""A model is measured, cut, drawn and explained for its positive class, whichever of the two labels that is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model, metrics, model_selection, preprocessing

from shared import errors
from shared.ml import artifacts
from shared.training import details, refinements
from tests.unit.training import tables
from workers.training import fit
from workers.training.exports import onnx_file

pytestmark = pytest.mark.slow

NUMBERS = ["a", "b"]
LABELS: list[tuple[Any, Any]] = [("fraud", "ok"), ("malignant", "benign"), (False, True), (0, 1), (1, 2)]
"""The rare class and the common one."""


def table(rare: Any, common: Any, *, rows: int = 400) -> pd.DataFrame:
    """Make two numbers and a target of which one class is rare, and partly follows from them."""
    random = np.random.default_rng(3)
    made = pd.DataFrame(random.normal(size=(rows, 2)).round(4), columns=NUMBERS)
    is_rare = made["a"] + 0.7 * random.normal(size=rows) > 1.2
    made["y"] = np.array([rare if flag else common for flag in is_rare])
    return made


def train(frame: pd.DataFrame, folder: Path, *, name: str = "LogisticRegression", **setup: Any) -> fit.TrainedArtifact:
    """Train a classifier of the target."""
    return tables.train(frame, folder, name=name, target="y", **setup)


def by_hand(frame: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Fit scikit-learn on the same folds; returns each fold's truth, predictions, probabilities and classes."""
    folds = model_selection.StratifiedKFold(2, shuffle=True, random_state=0)
    truth = frame["y"].to_numpy()
    results = []
    for train_rows, test_rows in folds.split(frame, truth):
        scaler = preprocessing.StandardScaler().fit(frame[NUMBERS].iloc[train_rows])
        model = linear_model.LogisticRegression(random_state=0)
        model.fit(scaler.transform(frame[NUMBERS].iloc[train_rows]), truth[train_rows])
        features = scaler.transform(frame[NUMBERS].iloc[test_rows])
        results.append((truth[test_rows], model.predict(features), model.predict_proba(features), model.classes_))
    return results


@pytest.mark.parametrize(("rare", "common"), LABELS)
def test_metrics_are_scikit_learns_for_the_class_that_is_asked_for(rare: Any, common: Any, tmp_path: Path) -> None:
    frame = table(rare, common)
    for positive in (rare, common):
        trained = train(frame, tmp_path, positive=positive)
        assert (trained.positive, trained.signature["positive"]) == (positive, positive)
        assert not [note for note in trained.notes if "positive class" in note]
        expected: dict[str, list[float]] = {"recall": [], "precision": [], "f1": [], "average_precision": []}
        for truth, said, probability, classes in by_hand(frame):
            asked: dict[str, Any] = {"pos_label": positive}
            expected["recall"].append(metrics.recall_score(truth, said, **asked))
            expected["precision"].append(metrics.precision_score(truth, said, **asked))
            expected["f1"].append(metrics.f1_score(truth, said, **asked))
            column = classes.tolist().index(positive)
            expected["average_precision"].append(
                metrics.average_precision_score(truth == positive, probability[:, column])
            )
        for metric, folds in expected.items():
            assert trained.metrics[metric].folds == pytest.approx(folds), metric
            if metric != "average_precision":
                assert trained.metrics[f"{metric}_{str(positive).lower()}"].folds == pytest.approx(folds)


CONVENTIONAL = [(("fraud", "ok"), "fraud"), ((False, True), True), ((0, 1), 1), ((1, 2), 1)]


@pytest.mark.parametrize(("labels", "positive"), CONVENTIONAL)
def test_without_a_request_the_choice_is_said(labels: tuple[Any, Any], positive: Any, tmp_path: Path) -> None:
    trained = train(table(*labels), tmp_path)
    assert trained.positive == positive
    [note] = [note for note in trained.notes if "positive class" in note]
    assert ("by convention" if labels != ("fraud", "ok") else "the rarer one, with ") in note


@pytest.mark.parametrize(("rare", "common"), [("fraud", "ok"), ("zebra", "ant"), (0, 1), (False, True)])
@pytest.mark.parametrize("calibration", [None, refinements.Calibration()])
@pytest.mark.parametrize("name", ["LogisticRegression", "LinearSVC"])
def test_a_dear_miss_finds_more_of_the_rare_class_and_a_dear_alarm_fewer(
    name: str, calibration: refinements.Calibration | None, rare: Any, common: Any, tmp_path: Path
) -> None:
    frame = table(rare, common)
    found = {}
    for what, costs in {"miss": (1.0, 20.0), "alarm": (20.0, 1.0)}.items():
        threshold = refinements.Threshold(costs=refinements.Costs(false_positive=costs[0], false_negative=costs[1]))
        trained = train(frame, tmp_path, name=name, calibration=calibration, threshold=threshold, positive=rare)
        model = artifacts.load(tmp_path / "model.skops", sha256=trained.sha256)
        said = model.predict(frame[NUMBERS])
        found[what] = int((said == rare).sum())
        chosen = details.Details.model_validate(trained.details).threshold
        assert chosen is not None
        assert chosen.positive == rare
        scores = _scores_for(model, frame, rare)
        np.testing.assert_array_equal(said == rare, scores >= chosen.value)
    plain = train(frame, tmp_path, name=name, calibration=calibration, positive=rare)
    model = artifacts.load(tmp_path / "model.skops", sha256=plain.sha256)
    assert found["alarm"] < int((model.predict(frame[NUMBERS]) == rare).sum()) < found["miss"]


def _scores_for(model: Any, frame: pd.DataFrame, label: Any) -> np.ndarray:
    column = model.classes_.tolist().index(label)
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(frame[NUMBERS])[:, column])
    decision = model.decision_function(frame[NUMBERS])
    return np.asarray(decision if column else -decision)


def test_the_class_of_the_threshold_is_the_models(tmp_path: Path) -> None:
    threshold = refinements.Threshold(maximise="f2", positive="ok")
    trained = train(table("fraud", "ok"), tmp_path, threshold=threshold)
    assert trained.positive == "ok"
    assert trained.details["threshold"]["positive"] == "ok"  # type: ignore[index,call-overload]


def test_curves_are_drawn_for_the_positive_class(tmp_path: Path) -> None:
    frame = table("fraud", "ok")
    for positive in ("fraud", "ok"):
        drawn = details.Details.model_validate(train(frame, tmp_path, positive=positive).details)
        assert drawn.precision_recall is not None
        assert drawn.roc is not None
        [curve], [roc] = drawn.precision_recall, drawn.roc
        assert (curve.label, roc.label) == (positive, positive)
        # Where every row is predicted positive the precision is the share of positive rows.
        assert curve.precision[0] == pytest.approx(np.mean(frame["y"] == positive), abs=0.02)


@pytest.mark.parametrize("name", ["LogisticRegression", "RandomForestClassifier", "LinearSVC"])
def test_partial_dependence_follows_the_positive_class(name: str, tmp_path: Path) -> None:
    explain = refinements.Explain(partial_dependence=refinements.PartialDependence(columns=["a"]))
    means = {}
    for positive in ("fraud", "ok"):
        trained = train(table("fraud", "ok"), tmp_path, name=name, positive=positive, explain=explain)
        [drawn] = details.Details.model_validate(trained.details).partial_dependence or []
        assert drawn.label == positive
        means[positive] = np.asarray(drawn.means, dtype=float)
    # The greater `a`, the likelier a fraud.
    assert means["fraud"][-1] > means["fraud"][0]
    whole = 0.0 if name == "LinearSVC" else 1.0
    np.testing.assert_allclose(means["fraud"] + means["ok"], whole, atol=1e-9)


@pytest.mark.parametrize("name", ["LogisticRegression", "RandomForestClassifier", "HistGradientBoostingClassifier"])
def test_shap_values_add_up_to_the_positive_class(name: str, tmp_path: Path) -> None:
    pytest.importorskip("shap")
    explain = refinements.Explain(shap=refinements.Shap(rows=20))
    shares = {}
    for positive in ("fraud", "ok"):
        trained = train(table("fraud", "ok"), tmp_path, name=name, positive=positive, explain=explain)
        shap = details.Shap.model_validate_json(json.dumps(trained.details["shap"]))
        [values] = shap.values
        assert values.label == positive
        shares[positive] = values
    whole = 1.0 if shap.output == "probability" else 0.0
    assert shares["fraud"].base + shares["ok"].base == pytest.approx(whole, abs=1e-6)
    pairs = shares["fraud"].features[0].share_of_value
    low, high = pairs[0][1], pairs[-1][1]
    assert shares["fraud"].features[0].feature == "a"
    assert high > low, "the greater `a`, the likelier a fraud"


@pytest.mark.parametrize(("rare", "common"), [("fraud", "ok"), (0, 1), (False, True)])
@pytest.mark.parametrize("name", ["LogisticRegression", "LinearSVC"])
def test_onnx_cuts_at_the_same_side(name: str, rare: Any, common: Any, tmp_path: Path) -> None:
    trained = train(
        table(rare, common), tmp_path, name=name, threshold=refinements.Threshold(maximise="f2"), positive=rare
    )
    # Writing refuses a model that answers otherwise than scikit-learn on the rows of training.
    onnx_file.write(
        artifacts.load(tmp_path / "model.skops", sha256=trained.sha256),
        tmp_path / "dataset.parquet",
        signature=trained.signature,
        problem="classification",
        notes={},
        path=tmp_path / "model.onnx",
    )
    assert (tmp_path / "model.onnx").exists()


def test_what_is_no_class_or_one_of_three_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadModelError, match="'Fraud', which is no class") as refused:
        train(table("fraud", "ok"), tmp_path, positive="Fraud")
    assert refused.value.pointer == "#/params/positive"
    three = table("fraud", "ok")
    three.loc[:40, "y"] = "unclear"
    with pytest.raises(errors.BadModelError, match="one of two classes, but the target has 3"):
        train(three, tmp_path, positive="fraud")
    trained = train(three, tmp_path)
    assert trained.positive is None
    assert {"recall_fraud", "recall_ok", "recall_unclear"} <= trained.metrics.keys()
