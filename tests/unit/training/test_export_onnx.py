"""Models leave as ONNX files that answer as they do, or are refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from shared import errors, recipe
from shared.ml import artifacts, signatures
from shared.training import contract
from tests.unit.training import tables
from workers.training.exports import graph, onnx_file, onnx_model, skl2onnx_parts

OTHERS = ("sold", "big", "stars", "amount")
EXPORTED: list[tuple[str, str, str | None]] = [
    ("LogisticRegression", "classification", "sold"),
    ("LogisticRegression", "classification", "big"),
    ("LogisticRegression", "classification", "stars"),
    ("LinearDiscriminantAnalysis", "classification", "sold"),
    ("LinearDiscriminantAnalysis", "classification", "stars"),
    ("LinearSVC", "classification", "sold"),
    ("SVC", "classification", "stars"),
    ("DecisionTreeClassifier", "classification", "sold"),
    ("HistGradientBoostingClassifier", "classification", "sold"),
    ("Ridge", "regression", "amount"),
    ("HistGradientBoostingRegressor", "regression", "amount"),
    ("GradientBoostingRegressor", "quantile", "amount"),
    ("KMeans", "clustering", None),
    ("OneClassSVM", "anomaly", None),
]
SCALED = recipe.Recipe.model_validate(
    {"steps": [{"op": "scale", "columns": ["size"]}, {"op": "one_hot", "columns": ["colour"]}]}
)
RAW = recipe.Recipe.model_validate({"steps": [{"op": "one_hot", "columns": ["colour"]}]})
REFUSED = [("DummyClassifier", "classification", "sold"), ("KernelRidge", "regression", "amount")]


def export(folder: Path, frame: pd.DataFrame, **how: Any) -> tuple[dict[str, Any], signatures.Signature, Any]:
    """Train a model, export it, and give the details, the signature and the fitted pipeline."""
    found = tables.train(frame, folder, without=tuple(name for name in OTHERS if name != how["target"]), **how)
    pipeline = artifacts.load(folder / "model.skops", sha256=found.sha256)
    details: Any = onnx_file.write(
        pipeline,
        folder / "dataset.parquet",
        signature=found.signature,
        problem=how["problem"],
        notes={"model": "m@1"},
        path=folder / "model.onnx",
    )
    return details, found.signature, pipeline


@pytest.mark.parametrize(("name", "problem", "target"), EXPORTED)
def test_an_estimator_answers_in_onnx_as_in_scikit_learn(
    name: str, problem: str, target: str | None, tmp_path: Path
) -> None:
    details, _, _ = export(tmp_path, tables.small(rows=120), name=name, problem=problem, target=target)
    assert details["parity"]["label_mismatches"] == 0
    assert details["parity"]["greatest_difference"] < 1e-5
    model = onnx.load(tmp_path / "model.onnx")
    assert [given.name for given in model.graph.input] == ["size", "colour"]
    assert {prop.key: prop.value for prop in model.metadata_props} == {"model": "m@1"}


@pytest.mark.parametrize(("name", "problem", "target"), REFUSED)
def test_an_estimator_without_a_converter_is_refused_by_name(
    name: str, problem: str, target: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.BadModelError, match=f"{name} can't be said in ONNX"):
        export(tmp_path, tables.small(rows=60), name=name, problem=problem, target=target)
    assert not (tmp_path / "model.onnx").exists()


def test_a_conformal_interval_is_exported_with_the_prediction(tmp_path: Path) -> None:
    frame = tables.small(rows=150)
    conformal = contract.Conformal(method="split")
    _, signature, pipeline = export(
        tmp_path, frame, name="Ridge", problem="regression", target="amount", conformal=conformal
    )
    fed = onnx_model.feed(frame[["size", "colour"]], signature=signature, inputs=graph.FLOAT)
    session = skl2onnx_parts.load(onnx.load(tmp_path / "model.onnx"))
    prediction, lower, upper = session.run(["prediction", "prediction_lower", "prediction_upper"], fed)
    wanted = pipeline[-1].predict_interval(pipeline[:-1].transform(frame[["size", "colour"]]))
    np.testing.assert_allclose([lower, upper], wanted, rtol=1e-5, atol=1e-5)
    assert np.all((lower < prediction) & (prediction < upper))


def of_sizes(sizes: Any) -> pd.DataFrame:
    """Make a table whose target follows from one number only, at many thresholds."""
    rank = np.argsort(np.argsort(sizes))
    return tables.small(rows=len(sizes)).assign(size=sizes, sold=np.where(rank // 7 % 2, "Yes", "No"))


def test_inputs_are_float64_where_rounding_the_data_would_change_answers(tmp_path: Path) -> None:
    # With so many values thresholds are values of the data, and the recipe scales what float32 has rounded.
    sizes = np.round(np.random.default_rng(0).normal(size=600) * 20, 2)
    details, _, _ = export(
        tmp_path,
        of_sizes(sizes),
        name="HistGradientBoostingClassifier",
        problem="classification",
        target="sold",
        wanted=SCALED,
    )
    assert details["inputs"][0]["datatype"] == "float64"
    assert details["parity"]["greatest_difference"] < 1e-5


def test_a_model_whose_labels_flip_in_onnx_is_refused(tmp_path: Path) -> None:
    # All these numbers are the same in float32, which is what trees in ONNX compare.
    sizes = 1.0 + np.random.default_rng(0).permutation(600) * 1e-10
    with pytest.raises(errors.BadModelError, match="ONNX gives another label than scikit-learn in"):
        export(
            tmp_path,
            of_sizes(sizes),
            name="HistGradientBoostingClassifier",
            problem="classification",
            target="sold",
            wanted=RAW,
        )
    assert not (tmp_path / "model.onnx").exists()


def test_columns_may_have_any_name_even_that_of_an_output(tmp_path: Path) -> None:
    names = {"size": "label", "colour": "millrace_1 =cmd()|é"}
    frame = tables.small(rows=80).rename(columns=names)
    details, _, _ = export(tmp_path, frame, name="LogisticRegression", problem="classification", target="sold")
    assert [given["name"] for given in details["inputs"]] == list(names.values())
    assert [made["name"] for made in details["outputs"]] == ["label_output", "probabilities"]


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        export(tmp_path / name, tables.small(), name="Ridge", problem="regression", target="amount")
        made.append((tmp_path / name / "model.onnx").read_bytes())
    assert made[0] == made[1]
