"""Trees and neighbours leave as ONNX only where new rows get what scikit-learn says, on thresholds and ties too."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import base, ensemble, tree

from shared import errors
from shared.ml import artifacts, predictions
from shared.recipe.language import Recipe
from tests.unit.training import tables
from tests.unit.training.exports.test_export_onnx import RAW, answers, export
from workers.training.exports import onnx_file, onnx_model, parity, skl2onnx_parts, trees
from workers.training.exports.graph import DOUBLE, FLOAT, Graph

pytestmark = pytest.mark.slow

FILLED = Recipe.model_validate(
    {
        "steps": [
            {"op": "impute", "columns": ["size"]},
            {"op": "scale", "columns": ["size"]},
            {"op": "one_hot", "columns": ["colour"]},
        ]
    }
)
OF_TREES: list[tuple[str, str, str]] = [
    ("DecisionTreeRegressor", "regression", "amount"),
    ("GradientBoostingRegressor", "regression", "amount"),
    ("GradientBoostingRegressor", "quantile", "amount"),
    ("HistGradientBoostingRegressor", "regression", "amount"),
    ("AdaBoostRegressor", "regression", "amount"),
    ("BaggingRegressor", "regression", "amount"),
    ("DecisionTreeClassifier", "classification", "sold"),
    ("GradientBoostingClassifier", "classification", "sold"),
    ("HistGradientBoostingClassifier", "classification", "sold"),
    ("HistGradientBoostingClassifier", "classification", "stars"),
    ("RandomForestClassifier", "classification", "stars"),
]


def of_sizes(sizes: Any) -> pd.DataFrame:
    """Make a table whose targets follow from one number only, at many thresholds."""
    high = np.argsort(np.argsort(sizes)) // 7 % 2
    small = tables.small(rows=len(sizes))
    return small.assign(size=sizes, sold=np.where(high, "Yes", "No"), amount=100.0 + high, stars=high + 1)


def rounded(*, rows: int = 600) -> pd.DataFrame:
    """Make a table of numbers with two decimals, of which many lie in the middle between others."""
    return of_sizes(np.round(np.random.default_rng(0).normal(size=rows) * 20, 2))


def every_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Make a row for each number that may come: every value of two decimals, and every middle of two of training."""
    known = np.unique(frame["size"])
    grid = np.round(np.arange(known[0], known[-1], 0.01), 2)
    sizes = np.concatenate([grid, (known[1:] + known[:-1]) / 2])
    return pd.DataFrame({"size": sizes, "colour": "red"})


@pytest.mark.parametrize(("name", "problem", "target"), OF_TREES)
def test_trees_answer_on_their_thresholds_as_in_scikit_learn(
    name: str, problem: predictions.Problem, target: str, tmp_path: Path
) -> None:
    frame = rounded()
    details, signature, pipeline = export(
        tmp_path, frame, name=name, problem=problem, target=target, wanted=FILLED, seed=1
    )
    assert details["inputs"][0]["datatype"] == "float64"
    new = every_step(frame)
    said: dict[str, Any] = answers(tmp_path, new, signature, details)
    wanted: Any = predictions.predict(pipeline, new, problem=problem)
    if problem == "classification":
        np.testing.assert_array_equal(said["label"], wanted.prediction)
        np.testing.assert_allclose(said["probabilities"], wanted.probability, atol=1e-5)
    else:
        np.testing.assert_allclose(said["prediction"], wanted.prediction, rtol=1e-5)


@pytest.mark.parametrize(
    "fitted",
    [
        tree.DecisionTreeClassifier(random_state=0),
        tree.ExtraTreeClassifier(random_state=0),
        tree.DecisionTreeRegressor(random_state=0, max_leaf_nodes=40),
        ensemble.RandomForestClassifier(n_estimators=9, max_depth=6, random_state=0),
        ensemble.RandomForestRegressor(n_estimators=9, random_state=0),
        ensemble.ExtraTreesRegressor(n_estimators=9, random_state=0),
        tree.DecisionTreeRegressor(max_depth=1, min_samples_leaf=400),
    ],
    ids=repr,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_trees_in_float64_are_scikit_learns_to_the_last_digits(fitted: Any, classes: int) -> None:
    dice = np.random.default_rng(classes)
    table = dice.normal(size=(600, 3))
    table[dice.random(table.shape) < 0.1] = np.nan
    target = (np.nan_to_num(table[:, 0]) + dice.normal(size=600) > 0).astype(int) + (table[:, 1] > 1) * (classes - 2)
    fitted = base.clone(fitted).fit(table, target)
    members = [member.tree_ for member in getattr(fitted, "estimators_", [fitted])]
    splits = np.concatenate([member.threshold[member.children_left >= 0] for member in members])
    # Where only missing values go another way than all others the threshold is infinite.
    splits = splits[np.isfinite(splits)]
    near = [np.nextafter(splits, side) for side in (-np.inf, np.inf)] + [splits, splits * (1 + 1e-8)]
    new = np.concatenate([np.repeat(np.concatenate(near)[:, None], 3, axis=1), table])
    graph = Graph(["x"])
    features = graph.add_input("x", kind="number", number_type=DOUBLE).tensor
    is_classifier = base.is_classifier(fitted)
    add = trees.compute_probabilities if is_classifier else trees.compute_numbers
    graph.add_output(add(graph, fitted, features), "y", element_type=DOUBLE, width=classes if is_classifier else None)
    model = graph.finish(notes={})
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    [answer] = skl2onnx_parts.load(model).run(None, {"x": new})
    expected = fitted.predict_proba(new) if is_classifier else fitted.predict(new)
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["DecisionTreeClassifier", "GradientBoostingClassifier", "BaggingClassifier"])
def test_parity_sees_where_float32_inputs_put_a_row_on_the_other_side(name: str, tmp_path: Path) -> None:
    _, signature, pipeline = export(
        tmp_path, rounded(), name=name, problem="classification", target="sold", wanted=FILLED
    )
    reference = parity.make_reference(
        pipeline, tmp_path / "dataset.parquet", signature=signature, problem="classification"
    )

    def agreement(inputs: int) -> parity.Parity:
        model, names = onnx_model.convert(
            pipeline, signature=signature, problem="classification", inputs=inputs, element_type=FLOAT, notes={}
        )
        given = onnx_file._run(model, reference, names, signature=signature, inputs=inputs)
        return parity.compare(reference, given)

    with pytest.raises(errors.BadModelError, match="ONNX gives another label than scikit-learn in"):
        agreement(FLOAT).require()
    assert agreement(DOUBLE).label_mismatches == 0


def test_histogram_boosting_tells_values_apart_that_are_one_in_float32(tmp_path: Path) -> None:
    frame = of_sizes(1.0 + np.random.default_rng(0).permutation(600) * 1e-10)
    details, _, _ = export(
        tmp_path,
        frame,
        name="HistGradientBoostingClassifier",
        problem="classification",
        target="sold",
        wanted=RAW,
    )
    assert details["parity"]["label_mismatches"] == 0


@pytest.mark.parametrize(
    ("name", "has_some"),
    [
        ("DecisionTreeClassifier", True),
        ("AdaBoostClassifier", True),
        ("HistGradientBoostingClassifier", True),
        ("VotingClassifier", False),
        ("LogisticRegression", False),
    ],
)
def test_trees_are_found_in_what_holds_them(name: str, *, has_some: bool, tmp_path: Path) -> None:
    found = tables.train(
        tables.small(rows=80), tmp_path, name=name, target="sold", without=("big", "stars", "amount"), wanted=FILLED
    )
    pipeline = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)
    assert trees.has_trees(pipeline[-1]) is has_some


@pytest.mark.parametrize(("name", "target"), [("KNeighborsClassifier", "sold"), ("KNeighborsRegressor", "amount")])
def test_neighbours_that_are_equally_far_are_refused(name: str, target: str, tmp_path: Path) -> None:
    problem = "classification" if target == "sold" else "regression"
    sizes = np.random.default_rng(0).integers(0, 9, size=200).astype(np.float64)
    with pytest.raises(
        errors.BadModelError, match=f"{name} can't be exported to ONNX: in .* equally far.*skops or mlflow"
    ):
        export(tmp_path, of_sizes(sizes), name=name, problem=problem, target=target, wanted=RAW)
    assert not (tmp_path / "model.onnx").exists()


def test_neighbours_that_are_all_at_distances_of_their_own_are_exported(tmp_path: Path) -> None:
    sizes = np.random.default_rng(0).normal(size=200)
    details, signature, pipeline = export(
        tmp_path, of_sizes(sizes), name="KNeighborsClassifier", problem="classification", target="sold", wanted=RAW
    )
    new = pd.DataFrame({"size": np.random.default_rng(1).normal(size=200), "colour": "red"})
    np.testing.assert_array_equal(answers(tmp_path, new, signature, details)["label"], pipeline.predict(new))
