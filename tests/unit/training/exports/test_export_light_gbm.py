"""LightGBM's models answer in plain ONNX Runtime as in LightGBM, on thresholds and with missing values too."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import errors
from shared.ml import light_gbm
from shared.recipe.language import Recipe
from shared.training.estimators.spec import LIGHTGBM_LOSSES
from shared.training.refinements import Calibration, Conformal
from tests.unit.training import tables
from tests.unit.training.exports.test_export_onnx import answers, export
from tests.unit.training.exports.test_export_trees import every_step, rounded
from workers.training.exports import boosters, estimators
from workers.training.exports.graph import DOUBLE, FLOAT, Graph

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.slow

ROWS, FEATURES = 3_000, 4
EXTREMES = (
    np.nan,
    0.0,
    -0.0,
    boosters.ZERO,
    -boosters.ZERO,
    1e-36,
    -1e-36,
    1e-300,
    1e300,
    -1e300,
    3e38,
    2.0**53 - 1,
    2.0**53,
    2.0**53 + 2,
    5e-324,
)
Values = npt.NDArray[Any]


def features(*, seed: int = 0, rows: int = ROWS, without_nulls: bool = False) -> Values:
    """Make features: of two decimals, whole, identifiers beside 2^53, and with extremes; some values are missing."""
    random = np.random.default_rng(seed)
    columns = [
        random.normal(size=rows).round(2),
        random.integers(0, 5, size=rows),
        2.0**53 - random.integers(0, 1_000, size=rows),
        random.normal(size=rows),
    ]
    table = np.column_stack(columns)
    if not without_nulls:
        table[random.random(table.shape) < 0.1] = np.nan
    return table


def near(known: Values, model: Any) -> Values:
    """Make rows of extremes, and rows at and beside each threshold of a model."""
    head, _, _ = model.model_text_.partition("end of trees")
    lines = [line.removeprefix("threshold=") for line in head.splitlines() if line.startswith("threshold=")]
    thresholds = np.array([*map(float, " ".join(lines).split()), 0.0])[:1_000]
    beside = np.concatenate([thresholds, np.nextafter(thresholds, -np.inf), np.nextafter(thresholds, np.inf), EXTREMES])
    rows = np.resize(known, (len(beside) * FEATURES, FEATURES))
    for column in range(FEATURES):
        rows[column * len(beside) : (column + 1) * len(beside), column] = beside
    return rows


def in_onnx(model: Any, table: Values, *, problem: str) -> dict[str, Values]:
    """Write an estimator as ONNX, and run it."""
    graph = Graph(["X"])
    blocks = [graph.add_input(f"x{number}", kind="number", number_type=DOUBLE) for number in range(FEATURES)]
    outputs = estimators.convert(graph, model, graph.concatenate(blocks).tensor, problem=problem, element_type=DOUBLE)
    for field, output in outputs.items():
        graph.add_output(output.tensor, field, element_type=output.element_type, width=output.width)
    session = onnxruntime.InferenceSession(graph.finish(notes={}).SerializeToString())
    inputs = {f"x{number}": table[:, [number]] for number in range(FEATURES)}
    return dict(zip(outputs, session.run(list(outputs), inputs), strict=True))


def require_equal(model: Any, table: Values) -> None:
    """Require that ONNX gives the same labels, and the same numbers to the last digits."""
    if isinstance(model, light_gbm.LGBMRegressor):
        prediction = in_onnx(model, table, problem="regression")["prediction"]
        np.testing.assert_allclose(prediction, model.predict(table), rtol=1e-12, atol=1e-12)
        return
    outputs = in_onnx(model, table, problem="classification")
    np.testing.assert_array_equal(outputs["prediction"], model.predict(table))
    np.testing.assert_allclose(outputs["probability"], model.predict_proba(table), rtol=0, atol=1e-12)


@pytest.mark.parametrize("without_nulls", [False, True], ids=["nulls in training", "no nulls in training"])
@pytest.mark.parametrize("objective", LIGHTGBM_LOSSES)
def test_every_objective_is_the_same_in_onnx(objective: str, *, without_nulls: bool) -> None:
    table = features(without_nulls=without_nulls)
    y = np.exp(np.nan_to_num(table[:, 0]) + np.nan_to_num(table[:, 1]) / 3)
    model = light_gbm.LGBMRegressor(objective=objective, n_estimators=30).fit(table, y)
    require_equal(model, np.concatenate([features(seed=1), near(table, model)]))


@pytest.mark.parametrize("boosting_type", ["gbdt", "dart", "rf"])
@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2, 5]], ids=["binary", "multiclass"])
def test_classifiers_of_every_kind_of_boosting_are_the_same_in_onnx(labels: list[Any], boosting_type: str) -> None:
    table = features()
    y = np.asarray(labels)[np.random.default_rng(2).integers(0, len(labels), size=ROWS)]
    model = light_gbm.LGBMClassifier(
        n_estimators=20, boosting_type=boosting_type, subsample=0.7, subsample_freq=1, class_weight="balanced"
    ).fit(table, y)
    require_equal(model, np.concatenate([features(seed=1), near(table, model)]))


def test_a_model_that_learned_nothing_is_the_same_in_onnx() -> None:
    table = features(rows=30)
    model = light_gbm.LGBMRegressor(n_estimators=3, min_child_samples=100).fit(table, np.arange(30.0))
    require_equal(model, features(seed=1))


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(20, 300),
    classes=st.integers(2, 4),
    params=st.fixed_dictionaries(
        {
            "n_estimators": st.integers(1, 12),
            "num_leaves": st.integers(2, 40),
            "max_bin": st.integers(2, 255),
            "min_child_samples": st.integers(1, 20),
            "learning_rate": st.floats(0.01, 1),
        }
    ),
)
@settings(max_examples=25, deadline=None)
def test_random_models_are_the_same_in_onnx(seed: int, rows: int, classes: int, params: dict[str, Any]) -> None:
    table = features(seed=seed, rows=rows)
    random = np.random.default_rng(seed)
    table[random.random(table.shape) < 0.1] = random.choice(EXTREMES, size=1)
    y = np.arange(rows) % classes
    require_equal(light_gbm.LGBMClassifier(**params).fit(table, y), features(seed=seed + 1, rows=500))
    regressor = light_gbm.LGBMRegressor(**params).fit(table, random.normal(size=rows) * 10.0 ** random.integers(-9, 9))
    require_equal(regressor, near(table, regressor))


def test_zeros_that_count_as_missing_and_foreign_objectives_are_refused_by_name() -> None:
    model = light_gbm.LGBMRegressor(n_estimators=2).fit(features(), np.arange(float(ROWS)))
    graph = Graph(["X"])
    text = model.model_text_
    lines = [line for line in text.splitlines() if line.startswith("decision_type=")]
    zeros = "decision_type=" + " ".join(["6"] * len(lines[0].split()))
    cases = {
        "zero_as_missing": text.replace(lines[0], zeros),
        "'cross_entropy'": text.replace("objective=regression", "objective=cross_entropy"),
        "'regression sqrt'": text.replace("objective=regression", "objective=regression sqrt"),
    }
    for named, changed in cases.items():
        # The trees' lengths stand in the head.
        sizes = [str(len(f"Tree={tree}")) for tree in changed.removesuffix("end of trees\n").split("Tree=")[1:]]
        model.model_text_ = "\n".join(
            f"tree_sizes={' '.join(sizes)}" if line.startswith("tree_sizes=") else line for line in changed.split("\n")
        )
        with pytest.raises(errors.BadModelError, match=named):
            boosters.compute_numbers(graph, model, "X")


RAW = Recipe.model_validate({"steps": [{"op": "ordinal", "columns": ["colour"]}]})
EXPORTED: list[tuple[str, str, str, dict[str, Any]]] = [
    ("LGBMClassifier", "classification", "sold", {}),
    ("LGBMClassifier", "classification", "stars", {}),
    ("LGBMClassifier", "classification", "big", {"calibration": Calibration(method="isotonic")}),
    ("LGBMRegressor", "regression", "amount", {}),
    ("LGBMRegressor", "regression", "amount", {"conformal": Conformal(method="split")}),
    ("LGBMRegressor", "quantile", "amount", {}),
]


@pytest.mark.parametrize(("name", "problem", "target", "more"), EXPORTED)
def test_a_model_of_light_gbm_is_exported_and_answers_on_its_thresholds(
    name: str, problem: str, target: str, more: dict[str, Any], tmp_path: Path
) -> None:
    frame = rounded()
    details, signature, pipeline = export(
        tmp_path, frame, name=name, problem=problem, target=target, wanted=RAW, **more
    )
    assert details["parity"]["label_mismatches"] == 0
    assert details["parity"]["greatest_difference"] < 1e-5
    assert details["opsets"] == {"ai.onnx": 21, "ai.onnx.ml": 5}
    new = pd.concat([every_step(frame), pd.DataFrame({"size": EXTREMES, "colour": "never seen"})])
    said = answers(tmp_path, new, signature, details)
    if problem == "classification":
        np.testing.assert_array_equal(said["label"], pipeline.predict(new))
        np.testing.assert_allclose(said["probabilities"], pipeline.predict_proba(new), atol=1e-5)
    elif problem == "regression" and not more:
        np.testing.assert_allclose(said["prediction"], pipeline.predict(new), rtol=1e-12)


def test_a_target_far_from_0_keeps_its_digits(tmp_path: Path) -> None:
    frame = tables.small(rows=400)
    frame["amount"] += 1.7e12
    details, signature, pipeline = export(
        tmp_path, frame, name="LGBMRegressor", problem="regression", target="amount", wanted=RAW
    )
    said = answers(tmp_path, frame[["size", "colour"]], signature, details)["prediction"]
    np.testing.assert_allclose(said, pipeline.predict(frame[["size", "colour"]]), rtol=0, atol=1e-3)


def test_light_gbm_beside_other_trees_is_refused_with_the_reason() -> None:
    table = features()
    graph = Graph(["X"])
    features_block = graph.add_input("X", kind="number", number_type=FLOAT)
    model = light_gbm.LGBMRegressor(n_estimators=2).fit(table, np.arange(float(ROWS)))
    boosters.compute_numbers(graph, model, features_block.tensor)
    graph.node("TreeEnsembleRegressor", features_block.tensor, domain="ai.onnx.ml")
    with pytest.raises(errors.BadModelError, match="LightGBM beside other trees"):
        graph.finish(notes={})
