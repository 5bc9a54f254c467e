"""An evaluation's curves and tables are scikit-learn's on the scored rows, and training's of the same held-out rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import calibration, ensemble, inspection, linear_model, metrics, svm

from shared import contract, errors
from shared.evaluation.contract import ScoreModel
from shared.evaluation.details import EvaluationDetails, Explain
from shared.figures import curves, importances
from shared.ml import artifacts, frames, predictions
from shared.ml.metrics import importance, measuring
from shared.recipe.language import Recipe
from shared.recipe.numbers import Scale
from shared.training.estimators import allow_list
from shared.training.validations import HoldOut
from tests.unit.ml import tables
from tests.unit.training import tables as training_tables
from workers.evaluation import explain, score, scored_rows
from workers.training import tables as table_reading
from workers.training.splits import outer

pytestmark = pytest.mark.slow

NUMBERS = ["a", "b", "c"]
SCALED = Recipe(steps=[Scale(op="scale", columns=NUMBERS)])
VALIDATION = HoldOut(method="hold_out", test_fraction=0.4, seed=3)


def frame(*, rows: int = 260) -> pd.DataFrame:
    """Make a table from which something of every problem can be learned."""
    random = np.random.default_rng(3)
    place = random.integers(0, 3, size=rows)
    made = pd.DataFrame(random.normal(size=(rows, 3)) + 2 * np.eye(3)[place], columns=NUMBERS)
    made["sort"] = np.array(["red", "green", "blue"], dtype=object)[place]
    made["price"] = 2 * made["a"] - made["b"] + random.normal(scale=0.5, size=rows)
    made["fraud"] = np.where(made["a"] + random.normal(size=rows) > 1.5, "fraud", "ok").astype(object)
    made["warm"] = (made["a"] + random.normal(size=rows) > 0.5).astype(int)
    made["dear"] = (made["price"] > 0.5).astype(int)
    made["odd"] = random.random(rows) < 0.1
    made["w"] = random.integers(1, 5, size=rows).astype(float)
    made.loc[made["odd"], NUMBERS] += 6
    return made


def pin_of(stored: tables.Stored, *, target: str | None) -> contract.ModelPin:
    """Make a model's pin."""
    signature: Any = stored.signature
    return make_pin(stored.problem, target=target, sha256=stored.sha256, signature=signature)


def make_pin(problem: str, *, target: str | None = None, **given: Any) -> contract.ModelPin:
    """Make the pin of a model without a file."""
    fields: dict[str, Any] = {"key": "k", "sha256": "", "signature": {}, **given}
    return contract.ModelPin.model_construct(name="m", version=1, problem=problem, target=target, **fields)


def draw(
    path: Path, dataset: Path, *, pin: contract.ModelPin, settings: Explain | None = None, **given: Any
) -> tuple[EvaluationDetails, score.Scores]:
    """Score a stored model on a dataset, and draw its details."""
    scores = score.score_model(
        path,
        sha256=pin.sha256,
        dataset=dataset,
        signature=pin.signature,
        target=pin.target,
        problem=pin.problem,
        **given,
    )
    drawn = explain.draw(scores, pin, path, dataset=dataset, target=pin.target, explain=settings or Explain())
    return EvaluationDetails.model_validate(drawn), scores


def fit_mixed(folder: Path, estimator: Any) -> tuple[tables.Stored, Path]:
    """Store the mixed table and a classifier of `bought`."""
    dataset = tables.mixed(folder / "d.parquet")
    return tables.fit(dataset, folder, estimator, target="bought"), dataset


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_curves_of_two_classes_are_scikit_learns_for_the_positive_one(tmp_path: Path, positive: str) -> None:
    stored, dataset = fit_mixed(tmp_path, linear_model.LogisticRegression(C=0.01))
    found, _ = draw(stored.path, dataset, pin=pin_of(stored, target="bought"), positive=positive)
    model, rows = artifacts.load(stored.path, sha256=stored.sha256), frames.read_frame(dataset)
    is_positive = np.asarray(rows["bought"] == positive)
    chance = model.predict_proba(rows)[:, list(model.classes_).index(positive)]
    assert found.roc is not None
    assert found.precision_recall is not None
    assert found.calibration_curve is not None
    assert found.confusion is not None
    [roc], [recall], [calibrated] = found.roc, found.precision_recall, found.calibration_curve
    assert (roc.label, recall.label, calibrated.label) == (positive, positive, positive)
    false, true, thresholds = metrics.roc_curve(is_positive, chance)
    assert (roc.false_positive_rate, roc.true_positive_rate) == (false.tolist(), true.tolist())
    assert roc.thresholds == [None, *thresholds[1:].tolist()]
    precision, recalls, _ = metrics.precision_recall_curve(is_positive, chance, drop_intermediate=True)
    assert (recall.precision, recall.recall) == (precision.tolist(), recalls.tolist())
    share, predicted = calibration.calibration_curve(is_positive, chance, n_bins=10, strategy="quantile")
    assert (calibrated.fraction_true, calibrated.mean_predicted) == (share.tolist(), predicted.tolist())
    assert found.confusion.labels == ["no", "yes"]
    assert found.confusion.counts == metrics.confusion_matrix(rows["bought"], model.predict(rows)).tolist()


def test_a_classifier_without_probabilities_has_no_calibration_curve(tmp_path: Path) -> None:
    stored, dataset = fit_mixed(tmp_path, svm.LinearSVC())
    found, _ = draw(stored.path, dataset, pin=pin_of(stored, target="bought"))
    assert found.roc
    assert found.calibration_curve is None


PROBLEMS: list[tuple[predictions.Problem, str, dict[str, Any], set[str]]] = [
    ("classification", "LogisticRegression", {"target": "fraud"}, {"confusion", "roc", "precision_recall",
                                                                   "calibration_curve"}),
    ("classification", "LogisticRegression", {"target": "sort"}, {"confusion", "roc", "precision_recall",
                                                                  "calibration_curve"}),
    ("multilabel", "LogisticRegression", {"targets": ["warm", "dear"]}, {"labels", "roc", "precision_recall",
                                                                         "calibration_curve"}),
    ("regression", "Ridge", {"target": "price"}, {"residuals"}),
    ("quantile", "GradientBoostingRegressor", {"target": "price", "quantiles": [0.1, 0.9]},
     {"residuals", "quantiles"}),
    ("anomaly", "IsolationForest", {"target": "odd"}, {"scores", "roc", "precision_recall"}),
    ("clustering", "KMeans", {}, {"clusters"}),
    ("classification", "LogisticRegression", {"target": "fraud", "sample_weight": "w"},
     {"confusion", "roc", "precision_recall", "calibration_curve"}),
    ("multilabel", "DecisionTreeClassifier", {"targets": ["warm", "dear"], "sample_weight": "w"},
     {"labels", "roc", "precision_recall", "calibration_curve"}),
    ("regression", "Ridge", {"target": "price", "sample_weight": "w"}, {"residuals"}),
    ("anomaly", "IsolationForest", {"target": "odd", "sample_weight": "w"}, {"scores", "roc", "precision_recall"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("problem", "name", "given", "wanted"), PROBLEMS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_they_equal_trainings_of_the_same_model_on_the_same_rows(
    tmp_path: Path, problem: predictions.Problem, name: str, given: dict[str, Any], wanted: set[str]
) -> None:
    names = [*given.get("targets", []), *(given[field] for field in ("target", "sample_weight") if field in given)]
    table = frame()[NUMBERS + names]
    params = {"n_estimators": 5} if "n_estimators" in allow_list.specs()[name].parameters else {}
    options: dict[str, Any] = {"name": name, "params": params, "problem": problem, "wanted": SCALED, **given}
    (tmp_path / "all").mkdir()
    held_out = training_tables.train(table, tmp_path / "all", validation=VALIDATION, **options)
    train_rows, test_rows = split_as_training(tmp_path / "all" / "dataset.parquet", problem=problem, **given)
    (tmp_path / "part").mkdir()
    part = training_tables.train(table.iloc[train_rows], tmp_path / "part", validation=VALIDATION, **options)
    table.iloc[test_rows].to_parquet(tmp_path / "test.parquet", index=False)
    stored = tables.Stored(tmp_path / "part" / "model.skops", part.sha256, part.signature, problem)
    found, scores = draw(
        stored.path,
        tmp_path / "test.parquet",
        pin=pin_of(stored, target=given.get("target")),
        positive=held_out.positive,
        sample_weight=given.get("sample_weight"),
    )
    drawn = found.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    assert drawn == {name: value for name, value in held_out.details.items() if name != "all_rows"}
    defined = {name: metric.mean for name, metric in held_out.metrics.items() if metric.mean is not None}
    assert scores.metrics == pytest.approx(defined, rel=1e-12)
    reasons = {name: metric.undefined[0].reason for name, metric in held_out.metrics.items() if metric.undefined}
    assert scores.scored_rows.explain_undefined(scores.metrics) == reasons
    assert set(drawn) == wanted


def split_as_training(dataset: Path, *, problem: predictions.Problem, **given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that a model is fitted on in the validation, and those that it is scored on."""
    experiment = training_tables.experiment(
        columns=frames.read_columns(dataset),
        estimator=training_tables.estimator("Ridge"),
        problem=problem,
        validation=VALIDATION,
        **given,
    )
    [(train, test)] = outer.make_splits(table_reading.read_table(dataset, experiment=experiment), experiment=experiment)
    return train, test


def test_curves_have_a_bounded_number_of_points_whatever_the_rows() -> None:
    random = np.random.default_rng(0)
    chance = random.random(20_000)
    truth = np.where(random.random(20_000) < chance, "yes", "no").astype(object)
    rows = scored_rows.ScoredRows(
        "classification",
        truth=truth,
        predictions=measuring.Predictions(
            np.where(chance > 0.5, "yes", "no").astype(object), probability=np.column_stack([1 - chance, chance])
        ),
        classes=["no", "yes"],
    )
    scores = score.Scores(rows, has_truth=np.ones(20_000, dtype=bool), skipped_rows=0, warnings=[])
    pin = make_pin("classification")
    found = EvaluationDetails.model_validate(
        explain.draw(scores, pin, Path("absent"), dataset=Path("absent"), target="t", explain=Explain())
    )
    assert found.roc is not None
    assert len(found.roc[0].thresholds) == curves.MAX_POINTS
    assert len(found.model_dump_json()) < 50_000


@pytest.mark.parametrize("missing", [0, 7])
def test_shuffled_columns_are_scikit_learns_on_the_rows_with_a_truth(tmp_path: Path, missing: int) -> None:
    table = frame()[[*NUMBERS, "price"]]
    path = tmp_path / "all.parquet"
    table.to_parquet(path, index=False)
    stored = tables.fit(
        path, tmp_path, ensemble.RandomForestRegressor(5, random_state=0), target="price", problem="regression",
        wanted=SCALED,
    )  # fmt: skip
    known = table.assign(price=table["price"].where(np.arange(len(table)) >= missing))
    known.to_parquet(path, index=False)
    settings = importances.PermutationImportance(repeats=3)
    found, _ = draw(
        stored.path,
        path,
        pin=pin_of(stored, target="price"),
        settings=Explain(permutation_importance=settings, seed=5),
    )
    rows = frames.read_frame(path).iloc[missing:].reset_index(drop=True)
    model = artifacts.load(stored.path, sha256=stored.sha256)
    direct = inspection.permutation_importance(
        model, rows[NUMBERS], rows["price"], n_repeats=3, random_state=5, scoring="r2"
    )
    assert found.permutation_importance is not None
    shuffled = {column.column: [column.mean, column.std] for column in found.permutation_importance.columns}
    wanted = np.column_stack([direct.importances_mean, direct.importances_std])
    np.testing.assert_allclose([shuffled[name] for name in NUMBERS], wanted, atol=1e-12)
    assert found.permutation_importance.rows == len(table) - missing
    assert (found.permutation_importance.metric, next(iter(shuffled))) == ("r2", "a")


def test_rows_for_shuffling_are_drawn_from_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, dataset = fit_mixed(tmp_path, linear_model.LogisticRegression())
    pin = pin_of(stored, target="bought")
    settings = Explain(permutation_importance=importances.PermutationImportance(repeats=1, max_rows=30), seed=2)
    whole, _ = draw(stored.path, dataset, pin=pin, settings=settings)
    monkeypatch.setattr("shared.ml.inference.MAX_BATCH_ROWS", 7)
    pieces, _ = draw(stored.path, dataset, pin=pin, settings=settings)
    assert whole == pieces
    assert whole.permutation_importance is not None
    assert whole.permutation_importance.rows == 30
    drawn = importance.sample_rows(np.arange(80), most=30, seed=2)
    assert (len(np.unique(drawn)), bool((np.diff(drawn) > 0).all())) == (30, True)


@pytest.mark.parametrize("problem", ["clustering", "anomaly"])
def test_what_has_no_truth_in_every_row_can_not_be_explained_so(problem: str) -> None:
    pin = make_pin(problem)
    command = ScoreModel.model_validate({"model": "m@1", "dataset": "d@1", "explain": {"permutation_importance": {}}})
    with pytest.raises(errors.BadModelError, match=f"but m@1 does {problem}; leave it out") as caught:
        command.explain.check(pin)
    assert caught.value.pointer == "#/params/explain/permutation_importance"
