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


def test_a_metric_that_is_missing_has_its_reason(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.Ridge(), target="spent", problem="regression")
    table = parquet.read_table(dataset).set_column(7, "spent", pa.array([0.0, 2.0] * 40))
    parquet.write_table(table, tmp_path / "n")
    scores = evaluate(stored, tmp_path / "n", target="spent")
    assert scores.scored_rows.explain_undefined(scores.metrics) == {
        "mean_absolute_percentage_error": "the target is 0 in 40 of 80 rows"
    }


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


def with_weights(dataset: Path, path: Path, values: pa.Array) -> Path:
    """Store the dataset again with a column of weights."""
    parquet.write_table(parquet.read_table(dataset).append_column("w", values), path)
    return path


def test_weights_count_as_scikit_learn_counts_them(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    weights = np.arange(80) % 4
    found = evaluate(
        stored, with_weights(dataset, tmp_path / "n", pa.array(weights)), target="bought", sample_weight="w"
    )
    model, frame = artifacts.load(stored.path, sha256=stored.sha256), frames.read_frame(dataset)
    said, chance = model.predict(frame), model.predict_proba(frame)[:, 1]
    expected = metrics.accuracy_score(frame["bought"], said, sample_weight=weights)
    assert found.metrics["accuracy"] == pytest.approx(expected, rel=1e-12)
    area = metrics.roc_auc_score(frame["bought"] == "yes", chance, sample_weight=weights)
    assert found.metrics["roc_auc"] == pytest.approx(area, rel=1e-12)
    assert found.metrics != evaluate(stored, dataset, target="bought").metrics
    assert found.rows == 80


def test_weights_of_rows_without_a_truth_may_be_missing(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    truth = parquet.read_table(dataset)["bought"].to_pylist()
    half = with_target(dataset, tmp_path / "h", pa.array([None] * 40 + truth[40:]))
    weighted = with_weights(half, tmp_path / "n", pa.array([None] * 40 + [2.0] * 40))
    found = evaluate(stored, weighted, target="bought", sample_weight="w")
    assert found.metrics == pytest.approx(evaluate(stored, half, target="bought").metrics, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0] * 79 + [None], "the sample_weight 'w' is missing in 1 of 80 rows \\(first in row 80\\)"),
        ([1.0] * 79 + [-2.0], "the sample_weight 'w' goes from -2 to 1; weights must be 0 or more"),
        ([0] * 80, "the sample_weight 'w' goes from 0 to 0"),
        (["much"] * 80, "the sample_weight 'w' must be a column of numbers"),
    ],
)
def test_weights_that_can_not_serve_are_refused(tmp_path: Path, values: list[Any], message: str) -> None:
    stored, dataset = fit(tmp_path)
    weighted = with_weights(dataset, tmp_path / "n", pa.array(values))
    with pytest.raises(errors.BadDataError, match=message):
        evaluate(stored, weighted, target="bought", sample_weight="w")


def test_the_rows_that_are_kept_are_scored_as_a_dataset_of_them(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    truth = table["bought"].to_pylist()
    gaps = with_target(dataset, tmp_path / "n", pa.array([None] * 30 + truth[30:]))
    kept = np.arange(80) % 3 != 0
    scores = evaluate(stored, gaps, target="bought", kept=kept)
    parquet.write_table(parquet.read_table(gaps).filter(pa.array(kept)), tmp_path / "cut")
    cut = evaluate(stored, tmp_path / "cut", target="bought")
    assert scores.metrics == cut.metrics
    assert (scores.rows, scores.skipped_rows, scores.warnings) == (cut.rows, cut.skipped_rows, cut.warnings)
    assert np.flatnonzero(scores.has_truth).tolist() == [row for row in range(30, 80) if row % 3]
