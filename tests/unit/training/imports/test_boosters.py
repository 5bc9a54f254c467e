"""LightGBM's and XGBoost's files predict here what these libraries predict."""

import json
import pathlib
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.training import exports
from tests.unit.training.imports import models
from workers.training.exports import onnx_file
from workers.training.imports import invented_rows, ubjson

VALUES = np.random.default_rng(5).normal(size=(200, 3))
VALUES[::7, 1] = np.nan
FRAME = pd.DataFrame(VALUES, columns=["a", "b", "c"])
STORED: Any = json.loads(pathlib.Path(__file__).with_name("xgboost_models.json").read_text())
"""Models that XGBoost itself has written, and what it predicts of some rows."""


def fit(objective: str, labels: Any, **params: Any) -> lightgbm.Booster:
    data = lightgbm.Dataset(VALUES, labels, feature_name=["a", "ü", "c"])
    return lightgbm.train({"objective": objective, "verbosity": -1, "num_leaves": 5, **params}, data, 4)


def test_lightgbm_s_classes_are_named_and_predicted_as_by_the_library(tmp_path: pathlib.Path) -> None:
    made = fit("multiclass", np.digitize(VALUES[:, 0], [-0.5, 0.5]), num_class=3)
    classes = ["high", "low", "middle"]
    taken = models.take(tmp_path, made.model_to_string().encode(), columns=["a", "b", "c"], classes=classes)
    predicted, expected = taken.predict(FRAME), np.asarray(made.predict(VALUES))
    assert np.array_equal(predicted.probability, expected)  # type: ignore[arg-type]
    assert predicted.prediction.tolist() == np.array(classes)[expected.argmax(axis=1)].tolist()
    with pytest.raises(errors.BadModelError, match="in sorted order"):
        models.take(tmp_path, made.model_to_string().encode(), classes=classes[::-1])


def test_lightgbm_s_numbers_and_its_own_names(tmp_path: pathlib.Path) -> None:
    made = fit("poisson", np.abs(VALUES[:, 0]).round())
    taken = models.take(tmp_path, made.model_to_string().encode())
    described: Any = taken.reading.signature["columns"]
    assert [column["name"] for column in described] == ["a", "ü", "c"]
    assert taken.reading.libraries["lightgbm"]
    frame = FRAME.rename(columns={"b": "ü"})
    assert np.array_equal(taken.predict(frame).prediction, np.asarray(made.predict(VALUES)))


def test_lightgbm_with_categories_or_a_tree_that_is_none_is_refused(tmp_path: pathlib.Path) -> None:
    text = fit("binary", (VALUES[:, 0] > 0).astype(int)).model_to_string()
    with pytest.raises(errors.BadModelError, match="splits by categories"):
        models.take(tmp_path, text.replace("num_cat=0", "num_cat=1", 1).encode())
    forged = text.replace("left_child=", "left_child=9", 1)
    with pytest.raises(errors.PermanentError, match="can't be read"):
        models.take(tmp_path, forged.encode())
    with pytest.raises(errors.BadModelError, match="a name that can't be stored"):
        models.take(tmp_path, text.replace("feature_names=a", "feature_names=a\0").encode())
    with pytest.raises(errors.BadModelError, match="one of classification, not of regression"):
        models.take(tmp_path, text.encode(), problem="regression")


@pytest.mark.parametrize("name", STORED["cases"])
def test_xgboost_s_json_predicts_what_xgboost_predicts(tmp_path: pathlib.Path, name: str) -> None:
    case = STORED["cases"][name]
    taken = models.take(tmp_path, json.dumps(case["model"]).encode())
    rows = pd.DataFrame(STORED["rows"], columns=["a", "b", "c"], dtype=np.float64)
    predicted, expected = taken.predict(rows), np.array(case["expected"])
    if taken.reading.problem == "regression":
        np.testing.assert_allclose(predicted.prediction, expected, rtol=2e-6)
        return
    assert predicted.probability is not None
    numbers = predicted.probability if expected.ndim == 2 else predicted.probability[:, 1]
    np.testing.assert_allclose(numbers, expected, rtol=2e-6)


def test_xgboost_s_classes_get_names_and_are_sorted(tmp_path: pathlib.Path) -> None:
    case = STORED["cases"]["classes"]
    taken = models.take(tmp_path, json.dumps(case["model"]).encode(), classes=["low", "middle", "high"])
    assert taken.reading.signature["classes"] == ["high", "low", "middle"]
    rows = pd.DataFrame(STORED["rows"], columns=["a", "b", "c"], dtype=np.float64)
    expected = np.array(["low", "middle", "high"])[np.argmax(case["expected"], axis=1)]
    assert taken.predict(rows).prediction.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("left_children", [0, -1, -1, -1, -1, -1, -1], "two parents"),
        ("split_indices", [99] * 7, "a column that the model doesn't have"),
        ("left_children", [1], "different lengths"),
        ("split_type", [1, 0, 0], "splits by categories"),
    ],
)
def test_xgboost_s_trees_that_are_none_are_refused(
    tmp_path: pathlib.Path, field: str, value: list[int], reason: str
) -> None:
    model = json.loads(json.dumps(STORED["cases"]["binary"]["model"]))
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree[field] = value[: len(tree["right_children"])] if len(value) > 1 else value
    with pytest.raises(errors.BadModelError, match=reason):
        models.take(tmp_path, json.dumps(model).encode())


def test_ubjson_is_read_as_far_as_it_is_whole() -> None:
    data = b"{L\0\0\0\0\0\0\0\x01a[$d#L\0\0\0\0\0\0\0\x02\x3f\x80\0\0\x40\0\0\0L\0\0\0\0\0\0\0\x01bSi\x02hi}"
    assert ubjson.loads(data) == {"a": [1.0, 2.0], "b": "hi"}
    for broken in (data[:-3], data + b"}", b"[" * 200, b"[$S#i\x05", data.replace(b"#L\0\0", b"#L\x7f\0")):
        with pytest.raises(ValueError, match=r"UBJSON|nested"):
            ubjson.loads(broken)


@pytest.mark.parametrize("objective", ["binary", "poisson"])
def test_lightgbm_is_exported_where_it_agrees_on_rows_that_are_invented(tmp_path: pathlib.Path, objective: str) -> None:
    labels = (VALUES[:, 0] > 0).astype(int) if objective == "binary" else np.abs(VALUES[:, 0]).round()
    columns = ["a", {"name": "b", "type": "integer"}, {"name": "c", "type": "boolean"}]
    taken = models.take(tmp_path, fit(objective, labels).model_to_string().encode(), columns=columns)
    invented_rows.write(taken.model[-1], taken.reading.signature, tmp_path / "rows.parquet")
    details: Any = onnx_file.write(
        taken.model,
        tmp_path / "rows.parquet",
        signature=taken.reading.signature,
        problem=taken.reading.problem,
        notes={},
        path=tmp_path / "model.onnx",
    )
    assert details["parity"]["rows"] > invented_rows.ROWS
    assert exports.may_serve(details)
