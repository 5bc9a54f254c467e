"""A model is scored on what it was told is true, and a truth that can't serve is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import linear_model, metrics, svm

from shared import errors
from shared.ml import artifacts, frames
from tests.unit.ml import tables
from workers.evaluation import score

pytestmark = pytest.mark.slow


def evaluate(stored: tables.Stored, dataset: Path, *, target: str, **given: Any) -> score.Scores:
    """Score a stored model."""
    return score.score_model(
        stored.path,
        sha256=stored.sha256,
        dataset=dataset,
        signature=stored.signature,
        target=target,
        problem=stored.problem,
        **given,
    )


def fit(folder: Path) -> tuple[tables.Stored, Path]:
    """Store the mixed table and a classifier of `bought`."""
    dataset = tables.mixed(folder / "d.parquet")
    return tables.fit(dataset, folder, linear_model.LogisticRegression(C=0.01), target="bought"), dataset


def with_target(dataset: Path, path: Path, values: pa.Array) -> Path:
    """Store the dataset again with another truth."""
    parquet.write_table(parquet.read_table(dataset).set_column(6, "bought", values), path)
    return path


def test_metrics_are_those_of_scikit_learn(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    told: list[float] = []
    scores = evaluate(stored, dataset, target="bought", progress=lambda fraction, _: told.append(fraction))
    model, frame = artifacts.load(stored.path, sha256=stored.sha256), frames.read_frame(dataset)
    assert scores.metrics["accuracy"] == pytest.approx(metrics.accuracy_score(frame["bought"], model.predict(frame)))
    expected = metrics.roc_auc_score(frame["bought"] == "yes", model.predict_proba(frame)[:, 1])
    assert scores.metrics["roc_auc"] == pytest.approx(expected)
    assert 0 < scores.metrics["accuracy"] < 1
    assert (scores.rows, scores.skipped_rows, scores.warnings) == (80, 0, [])
    assert told[-1] == 1.0


def test_rows_without_a_target_are_skipped_and_counted(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    truth = parquet.read_table(dataset)["bought"].to_pylist()
    half = with_target(dataset, tmp_path / "n", pa.array([None] * 40 + truth[40:]))
    scores = evaluate(stored, half, target="bought")
    parquet.write_table(parquet.read_table(dataset).slice(40), tmp_path / "later")
    later = evaluate(stored, tmp_path / "later", target="bought")
    assert scores.metrics == later.metrics
    assert (scores.rows, scores.skipped_rows) == (40, 40)
    assert scores.warnings == ["40 of 80 rows have no target and were skipped."]


def test_another_column_can_be_the_truth(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    parquet.write_table(table.rename_columns([*table.column_names[:6], "outcome", "spent"]), tmp_path / "n")
    renamed = evaluate(stored, tmp_path / "n", target="outcome")
    assert renamed.metrics == evaluate(stored, dataset, target="bought").metrics


def test_a_classifier_without_probabilities_is_ranked_by_its_decisions(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, svm.LinearSVC(), target="bought")
    found = evaluate(stored, dataset, target="bought").metrics
    assert "roc_auc" in found
    assert "log_loss" not in found


def test_regression_is_scored_by_its_errors(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.Ridge(), target="spent", problem="regression")
    found = evaluate(stored, dataset, target="spent").metrics
    assert {"r2", "mean_absolute_error", "root_mean_squared_error"} <= found.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None] * 80, "the target 'bought' has no value in any of the 80 rows"),
        (["yes"] * 80, "the target 'bought' holds one class only, 'yes'"),
        (["yes", "no"] * 39 + ["perhaps", None], "holds 'perhaps', which the model never saw; it knows 'no', 'yes'"),
        ([True, False] * 40, "holds False, True, which the model never saw; it knows 'no', 'yes'"),
    ],
)
def test_a_truth_that_can_not_serve_is_refused(tmp_path: Path, values: list[Any], message: str) -> None:
    stored, dataset = fit(tmp_path)
    kind = pa.bool_() if values[0] is True else pa.string()
    with pytest.raises(errors.BadDataError, match=message):
        evaluate(stored, with_target(dataset, tmp_path / "n", pa.array(values, kind)), target="bought")


def test_an_absent_target_is_refused_by_name(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    with pytest.raises(errors.BadDataError, match=r"column 'Bought'.*did you mean 'bought'"):
        evaluate(stored, dataset, target="Bought")


def test_an_infinite_truth_is_refused(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.Ridge(), target="spent", problem="regression")
    table = parquet.read_table(dataset).set_column(7, "spent", pa.array([np.inf] * 80))
    parquet.write_table(table, tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="the target 'spent' holds an infinite number"):
        evaluate(stored, tmp_path / "n", target="spent")


def test_a_dataset_without_rows_is_refused(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    parquet.write_table(parquet.read_table(dataset).slice(0, 0), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="no value in any of the 0 rows"):
        evaluate(stored, tmp_path / "n", target="bought")


def test_a_missing_column_is_refused_by_name(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    parquet.write_table(parquet.read_table(dataset).drop_columns(["town"]), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="missing: column 'town'"):
        evaluate(stored, tmp_path / "n", target="bought")


def test_unseen_categories_are_told_and_do_not_fail(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    parquet.write_table(table.set_column(3, "town", pa.array(["Troms"] * 80)), tmp_path / "n")
    [warning] = evaluate(stored, tmp_path / "n", target="bought").warnings
    assert warning == "Column 'town' holds in 80 rows a category unseen in training, such as 'Troms'."
