"""Models, folds and labels tell identifiers beyond 2^53 apart, which float64 merges with their neighbours."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.figures import importances
from shared.ml import artifacts, frames, inference, signatures
from shared.recipe.categories import FrequencyEncode, HashEncode, OneHot, Ordinal, TargetEncode
from shared.recipe.columns import Cast, Derive, Drop
from shared.recipe.features import SelectFeatures
from shared.recipe.language import Recipe
from shared.recipe.numbers import Clip, Impute, Scale
from shared.training import refinements
from shared.training.estimators import allow_list
from shared.training.validations import CrossValidation, TimeSeries
from tests.unit.training import tables
from workers.prediction.batches import batch
from workers.training import tables as training_tables
from workers.training.exports import mlflow_loader, onnx_file
from workers.training.search import mapped

FIRST = 1790000000000000000
ROWS = 160
ONE_HOT = OneHot(op="one_hot", columns=["user"])


def users(*, gaps: bool = False, count: int = 4) -> pd.DataFrame:
    """Make rows of users whose identifiers are one float64; what a user spends depends on the user alone."""
    random = np.random.default_rng(0)
    number = random.integers(0, count, ROWS)
    frame = pd.DataFrame(
        {
            "user": pd.array(FIRST + number, dtype="Int64"),
            "size": random.normal(size=ROWS),
            "spent": 10.0 * number,
            "paid": np.where(number % 2 == 0, "yes", "no"),
        }
    )
    if gaps:
        frame.loc[::9, "user"] = pd.NA
    return frame


def train(frame: pd.DataFrame, folder: Path, *steps: Any, **more: Any) -> Any:
    """Train a regression of what was spent, or what `more` says."""
    given: dict[str, Any] = {"name": "LinearRegression", "problem": "regression", "target": "spent"} | more
    return tables.train(frame, folder, wanted=Recipe(steps=[*steps]), without=("paid",), **given)


def predict(found: Any, folder: Path, new: pd.DataFrame, *, problem: str = "regression") -> list[Any]:
    """Predict new rows with the stored model, as the prediction role does."""
    new.to_parquet(folder / "new.parquet", index=False)
    batch.predict_batch(
        folder / "model.skops",
        sha256=found.sha256,
        dataset=folder / "new.parquet",
        signature=found.signature,
        problem=problem,
        output_path=folder / "predicted.parquet",
        batch_rows=2,
    )
    return list(parquet.read_table(folder / "predicted.parquet")["prediction"].to_pylist())


NEW = pd.DataFrame(
    {"user": pd.array([FIRST + 3, FIRST, FIRST + 1, FIRST + 2, FIRST + 1], dtype="Int64"), "size": np.zeros(5)}
)
WANTED = [30.0, 0.0, 10.0, 20.0, 10.0]


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([ONE_HOT], "LinearRegression"),
        ([Ordinal(op="ordinal", columns=["user"])], "LinearRegression"),
        ([TargetEncode(op="target_encode", columns=["user"], smooth=0)], "DecisionTreeRegressor"),
        ([Cast(op="cast", columns=["user"], to="string"), ONE_HOT], "LinearRegression"),
        ([Derive(op="derive", name="user", expression="text(user)"), ONE_HOT], "LinearRegression"),
        (
            [Derive(op="derive", name="digit", expression=f"user - {FIRST}"), Drop(op="drop", columns=["user"])],
            "DecisionTreeRegressor",
        ),
        ([Derive(op="derive", name="digit", expression="user % 10")], "DecisionTreeRegressor"),
        ([HashEncode(op="hash_encode", columns=["user"], features=64)], "DecisionTreeRegressor"),
        ([Impute(op="impute", columns=["user"], strategy="most_frequent"), ONE_HOT], "LinearRegression"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(step.op for step in value),
)
def test_a_model_knows_each_user(tmp_path: Path, steps: list[Any], name: str) -> None:
    found = train(users(), tmp_path, *steps, name=name)
    assert found.metrics["r2"].mean == pytest.approx(1.0)
    assert predict(found, tmp_path, NEW) == pytest.approx(WANTED, abs=1e-6)
    # A batch whose users are all small numbers, or none, is no other kind of data.
    assert len(predict(found, tmp_path, NEW.assign(user=pd.array([5, 6, None, 7, 8], dtype="Int64")))) == 5


def test_a_user_that_comes_as_text_is_known_too(tmp_path: Path) -> None:
    found = train(users(), tmp_path, ONE_HOT)
    assert predict(found, tmp_path, NEW.assign(user=NEW["user"].astype(str))) == pytest.approx(WANTED)


def test_shares_are_each_users_own(tmp_path: Path) -> None:
    frame = users()
    found = train(frame, tmp_path, FrequencyEncode(op="frequency_encode", columns=["user"]), name="DummyRegressor")
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    shares = model[:-1].transform(frames.read_frame(tmp_path / "dataset.parquet"))[:, 0]
    wanted = frame["user"].map(frame["user"].value_counts(normalize=True))
    np.testing.assert_allclose(shares, wanted.to_numpy(float))


def test_a_user_of_whom_nothing_is_asked_is_a_number_as_before(tmp_path: Path) -> None:
    frame = users(gaps=True)
    steps = [Scale(op="scale", columns=["size"])]
    found = train(frame, tmp_path, *steps, name="HistGradientBoostingRegressor")
    assert len(predict(found, tmp_path, NEW)) == 5
    methods: list[Literal["variance", "model"]] = ["variance", "model"]
    for method in methods:
        select = SelectFeatures(op="select_features", columns=["user", "size"], method=method, keep=1)
        selected = train(users(), tmp_path, select, name="DecisionTreeRegressor")
        assert len(predict(selected, tmp_path, NEW)) == 5
    median = [Impute(op="impute", columns=["user"], indicator=True), Scale(op="scale", columns=["user"])]
    assert len(predict(train(frame, tmp_path, *median), tmp_path, NEW)) == 5
    inferred = tables.train(frame, tmp_path, name="Ridge", target="spent", problem="regression", without=("paid",))
    assert len(predict(inferred, tmp_path, NEW)) == 5


def test_small_integers_make_the_models_that_they_made_before(tmp_path: Path) -> None:
    frame = users()
    frame["user"] = frame["user"] - FIRST
    found = train(frame, tmp_path, ONE_HOT, Scale(op="scale", columns=["size"]))
    stored = (tmp_path / "model.skops").read_bytes()
    assert b"IntegerCategories" not in stored
    assert b"Floats" not in stored
    assert not any("exact" in column for column in found.signature["columns"])


def test_a_model_without_exact_in_its_signature_gets_floats(tmp_path: Path) -> None:
    frame = users()
    found = train(frame.assign(user=frame["user"] - FIRST), tmp_path, ONE_HOT)
    model = inference.Model(
        tmp_path / "model.skops", sha256=found.sha256, signature=found.signature, problem="regression"
    )
    given = frames.to_frame(pa.Table.from_pandas(NEW))
    assert given["user"].dtype == "Int64"
    assert signatures.conform(given, signature=found.signature)["user"].dtype == np.float64
    assert len(model.predict(given).prediction) == 5


@pytest.mark.parametrize("stratified", [False, True])
def test_no_fold_parts_a_user_or_merges_two(tmp_path: Path, stratified: bool) -> None:
    frame = users(count=3)
    frame.to_parquet(tmp_path / "d.parquet")
    validation = CrossValidation(method="cross_validation", folds=3, group="user", stratified=stratified)
    experiment = tables.experiment(
        columns=frames.read_columns(tmp_path / "d.parquet"),
        estimator=tables.estimator("GaussianNB"),
        problem="classification",
        target="paid",
        validation=validation,
    )
    table = training_tables.read_table(tmp_path / "d.parquet", experiment=experiment)
    assert table.groups is not None
    np.testing.assert_array_equal(table.groups, frame["user"].to_numpy(np.int64) - FIRST)
    # With merged users there is one group, which can't be split in three.
    found = train(
        frame,
        tmp_path,
        Scale(op="scale", columns=["size"]),
        validation=validation.model_copy(update={"stratified": None}),
    )
    assert len(found.metrics["mean_absolute_error"].folds) == 3


def test_times_beyond_floats_are_in_order(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(ROWS)
    frame = users().assign(moment=2**62 + order, spent=np.sort(order)[order].astype(float))
    frame.to_parquet(tmp_path / "d.parquet")
    experiment = tables.experiment(
        columns=frames.read_columns(tmp_path / "d.parquet"),
        estimator=tables.estimator("Ridge"),
        problem="regression",
        target="spent",
        validation=TimeSeries(method="time_series", time="moment"),
    )
    table = training_tables.read_table(tmp_path / "d.parquet", experiment=experiment)
    np.testing.assert_array_equal(np.argsort(np.asarray(table.times)), np.argsort(order))


def test_weights_may_be_large_integers(tmp_path: Path) -> None:
    frame = users().assign(weight=2**60 + np.arange(ROWS))
    found = train(frame, tmp_path, ONE_HOT, sample_weight="weight")
    assert found.metrics["r2"].mean == pytest.approx(1.0)


LABELS = [2**53 + 1, 2**53 + 2, 2**63 - 1]


@pytest.mark.parametrize(
    "name", sorted(name for name, spec in allow_list.specs().items() if "classification" in spec.problems)
)
def test_every_classifier_keeps_labels_beyond_floats(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    number = np.arange(90) % 3
    frame = pd.DataFrame({"x": 3.0 * number + 1 + random.random(90), "z": 1 + random.random(90)})
    frame["label"] = np.array(LABELS)[number]
    small = {"n_estimators": 10, "max_iter": 50, "cv": 2}
    params = {key: value for key, value in small.items() if key in allow_list.specs()[name].parameters}
    raw = Recipe(steps=[Clip(op="clip", columns=["x"], method="fixed", least=0, most=99)])
    found = tables.train(frame, tmp_path, name=name, target="label", params=params, wanted=raw)
    assert found.classes == LABELS
    assert found.signature["classes"] == LABELS
    said = predict(found, tmp_path, frame[["x", "z"]], problem="classification")
    assert set(said) <= set(LABELS)
    if name not in ("DummyClassifier", "BernoulliNB", "ComplementNB", "MultinomialNB"):
        assert np.mean(np.array(said) == frame["label"].to_numpy()) > 0.6


@pytest.mark.parametrize(
    "more",
    [
        {"calibration": refinements.Calibration(folds=2)},
        {"threshold": refinements.Threshold(maximise="f1", folds=2)},
        {"class_weight": {str(LABELS[1]): 5.0, str(LABELS[0]): 1.0}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_refined_classifiers_keep_labels_beyond_floats(tmp_path: Path, more: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    number = np.arange(120) % 2
    frame = pd.DataFrame({"x": 3.0 * number + random.normal(size=120), "label": np.array(LABELS[:2])[number]})
    found = tables.train(frame, tmp_path, name="LogisticRegression", target="label", **more)
    assert found.classes == LABELS[:2]
    assert set(predict(found, tmp_path, frame[["x"]], problem="classification")) == set(LABELS[:2])


def test_what_a_search_maps_is_what_was_written(tmp_path: Path) -> None:
    users(gaps=True).to_parquet(tmp_path / "d.parquet")
    frame = frames.read_frame(tmp_path / "d.parquet")
    assert frame["user"].dtype == "Int64"
    table = training_tables.Table(frame, np.arange(ROWS))
    mapped.write_table(table, tmp_path / "kept")
    pd.testing.assert_frame_equal(mapped.read_table(tmp_path / "kept").frame, frame)


def test_explanations_take_identifiers(tmp_path: Path) -> None:
    dependence = refinements.PartialDependence(columns=["user"])
    explain = refinements.Explain(
        permutation_importance=importances.PermutationImportance(), partial_dependence=dependence
    )
    found = train(users(gaps=True), tmp_path, ONE_HOT, Impute(op="impute", columns=["size"]), explain=explain)
    [curve] = found.details["partial_dependence"]
    assert curve["values"] == [*(FIRST + number for number in range(4)), None]
    many = users(count=100)
    found = train(many, tmp_path, ONE_HOT, explain=explain)
    assert len(found.details["partial_dependence"][0]["values"]) == 20


def test_an_identifier_is_not_said_to_be_constant(tmp_path: Path) -> None:
    found = tables.train(users(), tmp_path, name="Ridge", target="spent", problem="regression", without=("paid",))
    assert "user" not in found.dropped
    rows = users().assign(user=FIRST + np.arange(ROWS))
    found = tables.train(rows, tmp_path, name="Ridge", target="spent", problem="regression", without=("paid",))
    assert "a whole number of its own" in found.dropped["user"]


def test_onnx_refuses_categories_that_it_would_merge(tmp_path: Path) -> None:
    found = train(users(), tmp_path, ONE_HOT)
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    given: dict[str, Any] = {"signature": found.signature, "problem": "regression", "notes": {}}
    with pytest.raises(errors.BadModelError, match=f"category {FIRST}, which float64 can't tell from its neighbours"):
        onnx_file.write(model, tmp_path / "dataset.parquet", path=tmp_path / "m.onnx", **given)


def test_onnx_fills_gaps_among_integers(tmp_path: Path) -> None:
    frame = users(gaps=True)
    steps = [Impute(op="impute", columns=["user"], strategy="constant", value=0), Scale(op="scale", columns=["user"])]
    found = train(frame.assign(user=frame["user"] - FIRST), tmp_path, *steps, name="DecisionTreeRegressor")
    model = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    given: dict[str, Any] = {"signature": found.signature, "problem": "regression", "notes": {}}
    onnx_file.write(model, tmp_path / "dataset.parquet", path=tmp_path / "m.onnx", **given)
    assert (tmp_path / "m.onnx").exists()


def test_what_mlflow_is_given_is_as_exact_as_a_dataset() -> None:
    signature: Any = {"columns": [{"name": "user", "type": "integer", "exact": True, "nullable": True}]}
    for values in ([FIRST, FIRST + 1], [FIRST, 5]):
        frame = mlflow_loader._to_frame(pd.DataFrame({"user": values}), signature)
        assert [int(value) for value in frame["user"]] == values
    with_gaps = pd.DataFrame({"user": pd.array([FIRST + 1, None], dtype="Int64")})
    assert mlflow_loader._to_frame(with_gaps, signature)["user"].tolist() == [FIRST + 1, pd.NA]


@pytest.mark.parametrize("first", [0, FIRST])
def test_an_identifier_that_leaks_is_told_of_whatever_its_size(tmp_path: Path, first: int) -> None:
    number = np.random.default_rng(0).integers(0, 3, 400)
    frame = pd.DataFrame({"user": first + number, "size": 1.0 * number % 2, "paid": np.where(number == 1, "yes", "no")})
    found = tables.train(frame, tmp_path, name="GaussianNB", target="paid", wanted=Recipe(steps=[ONE_HOT]))
    assert any("'user' may leak the target" in warning for warning in found.warnings)
