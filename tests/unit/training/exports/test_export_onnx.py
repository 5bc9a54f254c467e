"""Models leave as ONNX files that answer as they do, or are refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from shared import errors
from shared.ml import artifacts, signatures
from shared.recipe.language import Recipe
from shared.training import refinements
from shared.training.estimators import allow_list
from shared.training.refinements import Conformal
from tests.unit.training import tables
from workers.training.exports import graph, onnx_file, onnx_model, skl2onnx_parts

pytestmark = pytest.mark.slow

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
SCALED = Recipe.model_validate(
    {"steps": [{"op": "scale", "columns": ["size"]}, {"op": "one_hot", "columns": ["colour"]}]}
)
RAW = Recipe.model_validate({"steps": [{"op": "one_hot", "columns": ["colour"]}]})
REFUSED = [
    ("DummyClassifier", "classification", "sold"),
    ("KernelRidge", "regression", "amount"),
]
SIGMOID, ISOTONIC = refinements.Calibration(), refinements.Calibration(method="isotonic")
MADE_OF_OTHERS: list[tuple[str, str, str, dict[str, Any]]] = [
    *(
        (name, "classification", target, {"calibration": calibration})
        for name in ("LogisticRegression", "LinearSVC", "GaussianNB", "HistGradientBoostingClassifier")
        for target in ("sold", "stars")
        for calibration in (SIGMOID, ISOTONIC)
    ),
    (
        "RandomForestClassifier",
        "classification",
        "sold",
        {"calibration": ISOTONIC, "threshold": refinements.Threshold(maximise="f1")},
    ),
    ("RidgeClassifier", "classification", "big", {"threshold": refinements.Threshold(maximise="f1")}),
    *(
        ("VotingClassifier", "classification", target, {"params": {"voting": voting, "weights": weights}})
        for target in ("sold", "stars", "big")
        for voting, weights in (("soft", None), ("soft", [1, 3]), ("hard", None), ("hard", [1, 3]))
    ),
    ("VotingClassifier", "classification", "stars", {"params": {"voting": "soft"}, "calibration": SIGMOID}),
    ("VotingRegressor", "regression", "amount", {"params": {"weights": [1, 3]}}),
    ("VotingRegressor", "regression", "amount", {}),
    ("StackingClassifier", "classification", "stars", {"params": {"passthrough": True}}),
    ("StackingRegressor", "regression", "amount", {}),
]
# Each needs a stage for what the steps before have made of several columns.
OF_SEVERAL_STAGES: list[list[dict[str, Any]]] = [
    [
        {"op": "impute", "columns": ["size"]},
        {"op": "one_hot", "columns": ["colour"]},
        {"op": "scale", "columns": "all"},
        {"op": "pca", "columns": "all", "components": 2},
    ],
    [
        {"op": "impute", "columns": ["size"], "indicator": True},
        {"op": "one_hot", "columns": ["colour"]},
        {"op": "select_features", "columns": "all", "method": "mutual_information", "keep": 3},
        {"op": "scale", "columns": "all", "method": "min_max"},
    ],
]


def fewer(name: str) -> dict[str, Any]:
    """Return parameters by which an estimator is made of fewer trees than by default: they answer no differently."""
    if name.startswith("Hist"):
        return {"max_iter": 20}
    return {"n_estimators": 20} if "n_estimators" in allow_list.specs()[name].parameters else {}


def export(folder: Path, frame: pd.DataFrame, **how: Any) -> tuple[dict[str, Any], signatures.Signature, Any]:
    """Train a model, export it, and return the details, the signature and the fitted pipeline."""
    how["params"] = {**fewer(how["name"]), **(how.get("params") or {})}
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
    with pytest.raises(errors.BadModelError, match=f"{name} can't be exported to ONNX.*Export it as skops or mlflow"):
        export(tmp_path, tables.small(rows=60), name=name, problem=problem, target=target)
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(("name", "problem", "target", "more"), MADE_OF_OTHERS)
def test_what_is_made_of_others_answers_on_new_rows_as_in_scikit_learn(
    name: str, problem: str, target: str, more: dict[str, Any], tmp_path: Path
) -> None:
    details, signature, pipeline = export(
        tmp_path, tables.small(rows=300), name=name, problem=problem, target=target, **more
    )
    # Between two steps isotonic calibration may be so steep that it shows a forest's last bits.
    assert details["parity"]["greatest_difference"] < 1e-4
    new = tables.small(rows=200, seed=1)[["size", "colour"]]
    said = answers(tmp_path, new, signature, details)
    if problem == "regression":
        np.testing.assert_allclose(said["prediction"], pipeline.predict(new), rtol=1e-5, atol=1e-5)
        return
    np.testing.assert_array_equal(said["label"], pipeline.predict(new))
    if hasattr(pipeline, "predict_proba"):
        np.testing.assert_allclose(said["probabilities"], pipeline.predict_proba(new), atol=1e-4)


def answers(
    folder: Path, frame: pd.DataFrame, signature: signatures.Signature, details: dict[str, Any]
) -> dict[str, Any]:
    """Ask the exported model, with numbers of the type that it takes."""
    inputs = graph.FLOAT if details["inputs"][0]["datatype"] == "float32" else graph.DOUBLE
    session = skl2onnx_parts.load(onnx.load(folder / "model.onnx"))
    names = [made.name for made in session.get_outputs()]
    return dict(zip(names, session.run(names, onnx_model.feed(frame, signature=signature, inputs=inputs)), strict=True))


def test_many_labels_are_exported_side_by_side(tmp_path: Path) -> None:
    frame = tables.small(rows=200).drop(columns=["sold", "amount"])
    frame["dear"] = frame.pop("stars") == 3
    found = tables.train(frame, tmp_path, name="LogisticRegression", problem="multilabel", targets=["big", "dear"])
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    details: Any = onnx_file.write(
        pipeline,
        tmp_path / "dataset.parquet",
        signature=found.signature,
        problem="multilabel",
        notes={},
        path=tmp_path / "model.onnx",
    )
    new = tables.small(rows=200, seed=1)[["size", "colour"]]
    said = answers(tmp_path, new, found.signature, details)
    np.testing.assert_array_equal(said["labels"], pipeline.predict(new))
    wanted = np.column_stack([each[:, 1] for each in pipeline.predict_proba(new)])
    np.testing.assert_allclose(said["probabilities"], wanted, atol=1e-6)


@pytest.mark.parametrize("steps", OF_SEVERAL_STAGES, ids=lambda steps: steps[-1]["op"])
def test_a_recipe_of_several_stages_is_exported_stage_by_stage(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    wanted = Recipe.model_validate({"steps": steps})
    frame = tables.small(rows=200)
    details, _, pipeline = export(
        tmp_path, frame, name="LogisticRegression", problem="classification", target="stars", wanted=wanted
    )
    assert len(pipeline[0].steps) > 1
    assert details["parity"]["greatest_difference"] < 1e-5


def test_a_conformal_interval_is_exported_with_the_prediction(tmp_path: Path) -> None:
    frame = tables.small(rows=150)
    conformal = Conformal(method="split")
    _, signature, pipeline = export(
        tmp_path, frame, name="Ridge", problem="regression", target="amount", conformal=conformal
    )
    fed = onnx_model.feed(frame[["size", "colour"]], signature=signature, inputs=graph.FLOAT)
    session = skl2onnx_parts.load(onnx.load(tmp_path / "model.onnx"))
    prediction, lower, upper = session.run(["prediction", "prediction_lower", "prediction_upper"], fed)
    wanted = pipeline[-1].predict_interval(pipeline[:-1].transform(frame[["size", "colour"]]))
    np.testing.assert_allclose([lower, upper], wanted, rtol=1e-5, atol=1e-5)
    assert np.all((lower < prediction) & (prediction < upper))


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
