"""A batch keeps the dataset's columns, adds predictions, and survives new data that differs from the old."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn import ensemble, linear_model, svm

from shared import errors
from shared.ml import artifacts, frames
from shared.recipe.language import Recipe
from shared.recipe.numbers import Impute
from tests.unit.ml import tables
from workers.prediction.batches import batch

pytestmark = pytest.mark.slow


def predict(stored: tables.Stored, dataset: Path, output: Path, **given: Any) -> tuple[batch.PredictedBatch, pa.Table]:
    """Predict a dataset, and read what was written."""
    made = batch.predict_batch(
        stored.path,
        sha256=stored.sha256,
        dataset=dataset,
        signature=stored.signature,
        problem=stored.problem,
        output_path=output,
        **given,
    )
    return made, parquet.read_table(output)


def fit(folder: Path, **given: Any) -> tuple[tables.Stored, Path]:
    """Store the mixed table and a classifier of `bought`."""
    dataset = tables.mixed(folder / "d.parquet")
    return tables.fit(dataset, folder, linear_model.LogisticRegression(), **({"target": "bought"} | given)), dataset


@pytest.mark.parametrize("batch_rows", [None, 1, 33])
def test_the_columns_stay_as_they_were_and_predictions_follow(tmp_path: Path, batch_rows: int | None) -> None:
    stored, dataset = fit(tmp_path)
    told: list[tuple[float, str]] = []
    made, table = predict(
        stored, dataset, tmp_path / "o", batch_rows=batch_rows, progress=lambda *tell: told.append(tell)
    )
    given = parquet.read_table(dataset)
    assert table.select(given.column_names).equals(given)
    assert table.column_names[len(given.column_names) :] == ["prediction", "probability_no", "probability_yes"]
    model = artifacts.load(stored.path, sha256=stored.sha256)
    frame = frames.read_frame(dataset)
    assert table["prediction"].to_pylist() == model.predict(frame).tolist()
    probability = np.column_stack([table["probability_no"], table["probability_yes"]])
    np.testing.assert_allclose(probability, model.predict_proba(frame), rtol=1e-12)
    assert (made.rows, made.warnings) == (80, [])
    assert [column.name for column in made.columns] == table.column_names
    assert made.sha256 == hashlib.sha256((tmp_path / "o").read_bytes()).hexdigest()
    assert told[-1] == (1.0, "80 of 80 rows predicted")


def test_whole_numbers_beyond_a_floats_reach_stay_exact(tmp_path: Path) -> None:
    stored, _ = fit(tmp_path, without=("age", "weight", "member", "joined", "seen", "spent"))
    big = 2**53 + 1
    new = tables.write(tmp_path / "n", {"key": "integer", "town": "string"}, key=[big, None], town=["Oslo", None])
    assert predict(stored, new, tmp_path / "o")[1]["key"].to_pylist() == [big, None]


@pytest.mark.parametrize(
    ("kind", "labels", "names"),
    [
        ("boolean", [True, False], ["probability_false", "probability_true"]),
        ("integer", [3, 10], ["probability_3", "probability_10"]),
        ("number", [3.0, 10.0], ["probability_3", "probability_10"]),
    ],
)
def test_labels_keep_their_type(tmp_path: Path, kind: Any, labels: list[Any], names: list[str]) -> None:
    dataset = tables.write(tmp_path / "d", {"x": "number", "y": kind}, x=[0.0, 9.0] * 10, y=labels * 10)
    stored = tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y")
    _, table = predict(stored, dataset, tmp_path / "o")
    assert table["prediction"].to_pylist() == labels * 10
    assert table["prediction"].type == (pa.bool_() if kind == "boolean" else pa.int64())
    assert table.column_names[3:] == names


def test_regression_predicts_numbers_only(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    estimator = ensemble.HistGradientBoostingRegressor(max_iter=5)
    stored = tables.fit(dataset, tmp_path, estimator, target="spent", problem="regression")
    _, table = predict(stored, dataset, tmp_path / "o")
    assert table.column_names[8:] == ["prediction"]
    assert table["prediction"].type == pa.float64()


def test_a_prediction_that_is_not_finite_is_missing_and_counted(tmp_path: Path) -> None:
    dataset = tables.write(tmp_path / "d", {"x": "integer", "y": "number"}, x=[1, 2, 4], y=[1e308, -1e308, 1e308])
    with np.errstate(over="ignore"):
        stored = tables.fit(dataset, tmp_path, linear_model.LinearRegression(), target="y", problem="regression")
        new = tables.write(tmp_path / "n", {"x": "integer"}, x=[2, 10**9])
        made, table = predict(stored, new, tmp_path / "o")
    assert [value is None for value in table["prediction"].to_pylist()] == [False, True]
    assert made.warnings == ["In 1 rows a prediction or probability is not a finite number; it is left empty."]


def test_a_probability_that_is_not_finite_is_missing_and_counted(tmp_path: Path) -> None:
    dataset = tables.write(
        tmp_path / "d", {"x": "number", "y": "string"}, x=[1.0, 2.0, 4.0, 5.0], y=["a", "b", "c", "c"]
    )
    learner = linear_model.LogisticRegression(C=1e12, max_iter=1000)
    wanted = Recipe(steps=[Impute(op="impute", columns=["x"])])
    stored = tables.fit(dataset, tmp_path, learner, target="y", wanted=wanted)
    new = tables.write(tmp_path / "n", {"x": "number"}, x=[2.0, 1e308, -1e308])
    with np.errstate(all="ignore"):
        made, table = predict(stored, new, tmp_path / "o")
    assert [value is None for value in table["probability_a"].to_pylist()] == [False, True, True]
    assert table["prediction"].to_pylist()[1:] == ["c", "a"]
    assert made.warnings == ["In 2 rows a prediction or probability is not a finite number; it is left empty."]


def test_a_classifier_without_probabilities_gives_labels_only(tmp_path: Path) -> None:
    dataset = tables.mixed(tmp_path / "d.parquet")
    stored = tables.fit(dataset, tmp_path, svm.LinearSVC(), target="bought")
    assert predict(stored, dataset, tmp_path / "o")[1].column_names[8:] == ["prediction"]


def test_a_category_unseen_in_training_is_predicted_and_told(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    changed = parquet.read_table(dataset)
    towns = pa.array(["Troms", *changed["town"].to_pylist()[1:]])
    parquet.write_table(changed.set_column(3, "town", towns), tmp_path / "n")
    made, table = predict(stored, tmp_path / "n", tmp_path / "o")
    assert table["prediction"].null_count == 0
    assert made.warnings == ["Column 'town' holds in 1 row a category unseen in training, such as 'Troms'."]


def test_the_target_and_dropped_columns_may_be_absent(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    parquet.write_table(parquet.read_table(dataset).drop_columns(["bought"]), tmp_path / "n")
    assert predict(stored, tmp_path / "n", tmp_path / "o")[0].rows == 80


def test_a_missing_column_fails_by_name_and_leaves_no_file(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    renamed = ["Age", *parquet.read_table(dataset).column_names[1:]]
    parquet.write_table(parquet.read_table(dataset).rename_columns(renamed), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match=r"missing: column 'age'.*did you mean 'Age'"):
        predict(stored, tmp_path / "n", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_another_type_fails_by_name_and_leaves_no_file(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    parquet.write_table(table.set_column(3, "town", pa.array(range(80), pa.float64())), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="column 'town' was of type string in training"):
        predict(stored, tmp_path / "n", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_an_infinite_value_fails_by_name(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    parquet.write_table(table.set_column(7, "spent", pa.array([np.inf] * 80)), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match="'spent' holds inf"):
        predict(stored, tmp_path / "n", tmp_path / "o")


def test_an_infinite_value_that_the_model_does_not_use_is_passed_on(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    table = parquet.read_table(dataset)
    parquet.write_table(table.append_column("extra", pa.array([np.inf] * 80)), tmp_path / "n")
    assert predict(stored, tmp_path / "n", tmp_path / "o")[1]["extra"].to_pylist() == [np.inf] * 80


@pytest.mark.parametrize("name", ["prediction", "probability_yes"])
def test_a_column_that_has_the_name_of_a_prediction_is_refused(tmp_path: Path, name: str) -> None:
    stored, dataset = fit(tmp_path)
    parquet.write_table(parquet.read_table(dataset).append_column(name, pa.array([1.0] * 80)), tmp_path / "n")
    with pytest.raises(errors.BadDataError, match=f"already has '{name}'"):
        predict(stored, tmp_path / "n", tmp_path / "o")


def test_a_prefix_makes_room_for_predictions_beside_a_column_of_their_name(tmp_path: Path) -> None:
    dataset = tables.write(
        tmp_path / "d", {"prediction": "number", "y": "boolean"}, prediction=[1, 2] * 9, y=[True] * 9 + [False] * 9
    )
    wanted = Recipe(steps=[Impute(op="impute", columns=["prediction"])])
    stored = tables.fit(dataset, tmp_path, linear_model.LogisticRegression(), target="y", wanted=wanted)
    with pytest.raises(errors.BadDataError, match="give a `prefix`"):
        predict(stored, dataset, tmp_path / "o")
    made, table = predict(stored, dataset, tmp_path / "o", prefix="y_")
    assert table.column_names[2:] == ["y_prediction", "y_probability_false", "y_probability_true"]
    assert [column.name for column in made.columns] == table.column_names


def test_an_anomalys_score_may_have_a_prefix_too(tmp_path: Path) -> None:
    odd = {"x": [*range(30), 1000], "strange": [0] * 30 + [1]}
    dataset = tables.write(tmp_path / "d", {"x": "number", "strange": "integer"}, **odd)
    wanted = Recipe(steps=[Impute(op="impute", columns=["x"])])
    learner = ensemble.IsolationForest(random_state=0)
    stored = tables.fit(dataset, tmp_path, learner, target="strange", problem="anomaly", wanted=wanted)
    _, table = predict(stored, dataset, tmp_path / "o", prefix="odd_")
    assert table.column_names == ["x", "strange", "odd_prediction", "odd_anomaly_score"]
    assert table["odd_anomaly_score"].to_pylist()[-1] > 0


def test_a_dataset_without_rows_gives_one_without_rows(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    parquet.write_table(parquet.read_table(dataset).slice(0, 0), tmp_path / "n")
    made, table = predict(stored, tmp_path / "n", tmp_path / "o")
    assert made.rows == 0
    assert table.column_names[-1] == "probability_yes"


def test_a_tampered_model_is_refused(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    stored.path.write_bytes(stored.path.read_bytes() + b"\0")
    with pytest.raises(errors.UnsafeArtifactError, match="was recorded"):
        predict(stored, dataset, tmp_path / "o")


def test_a_truncated_dataset_is_refused(tmp_path: Path) -> None:
    stored, dataset = fit(tmp_path)
    dataset.write_bytes(dataset.read_bytes()[:500])
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet"):
        predict(stored, dataset, tmp_path / "o")


def test_churn_is_predicted_for_every_customer(tmp_path: Path) -> None:
    dataset = tables.telco(tmp_path / "telco.parquet")
    stored = tables.fit(dataset, tmp_path, linear_model.LogisticRegression(max_iter=1000), target="Churn")
    made, table = predict(stored, dataset, tmp_path / "o", batch_rows=1000)
    assert made.rows == 7043
    assert table["customerID"].equals(parquet.read_table(dataset)["customerID"])
    agreed = np.mean(np.array(table["prediction"]) == np.array(table["Churn"]))
    assert agreed > 0.8
