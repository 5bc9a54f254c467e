"""ONNX models of all shapes answer here as they do by themselves, whatever their inputs and outputs are like."""

import pathlib
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from onnx import TensorProto, helper
from skl2onnx.common import data_types
from sklearn import compose, linear_model, pipeline, preprocessing

from shared import errors
from shared.ml import predictions
from tests.unit.training.imports import models
from tests.unit.training.imports.models import FLOAT, INT64
from workers.prediction.online.onnx_models import OnnxModel

VALUES, LABELS = models.table()
FRAME = pd.DataFrame(VALUES.astype(np.float64), columns=["a", "b"])


def value(name: str, element_type: int, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, element_type, list(shape))


def online(taken: models.Imported, frame: pd.DataFrame) -> predictions.Predictions:
    """Predict as the inference server does."""
    model = OnnxModel(taken.model[-1].graph.tobytes(), signature=taken.reading.signature, problem=taken.reading.problem)
    feed = model.feed({str(name): frame[name].tolist() for name in frame})
    assert feed is not None
    return model.predict(feed)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_of_skl2onnx_with_or_without_its_map(tmp_path: pathlib.Path, *, zipmap: bool) -> None:
    made = linear_model.LogisticRegression().fit(VALUES, LABELS)
    data = skl2onnx.to_onnx(made, VALUES[:1], options={"zipmap": zipmap}).SerializeToString()
    taken = models.take(tmp_path, data, columns=["a", "b"])
    assert taken.reading.signature["classes"] == ["no", "yes"]
    assert taken.reading.signature["positive"] == "yes"
    for predicted in (taken.predict(FRAME), online(taken, FRAME)):
        assert predicted.prediction.tolist() == made.predict(VALUES).tolist()
        np.testing.assert_allclose(np.array(predicted.probability), made.predict_proba(VALUES), atol=1e-6)


def test_a_pipeline_of_texts_and_numbers_takes_its_columns_by_name(tmp_path: pathlib.Path) -> None:
    words = np.where(VALUES[:, 1] > 0.3, "red", np.where(VALUES[:, 1] < -0.3, "blue", "green"))
    frame = pd.DataFrame({"word": words, "a": FRAME["a"]})
    columns = compose.ColumnTransformer(
        [("words", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["word"]), ("rest", "passthrough", ["a"])]
    )
    made = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(frame, LABELS)
    types = [("word", data_types.StringTensorType([None, 1])), ("a", data_types.FloatTensorType([None, 1]))]
    data = skl2onnx.to_onnx(made, initial_types=types).SerializeToString()
    taken = models.take(tmp_path, data)
    described: Any = taken.reading.signature["columns"]
    assert [(column["name"], column["type"]) for column in described] == [("word", "string"), ("a", "number")]
    shuffled = frame[["a", "word"]].assign(more=1.0)
    assert taken.predict(shuffled).prediction.tolist() == made.predict(frame).tolist()
    np.testing.assert_allclose(np.array(online(taken, frame).probability), made.predict_proba(frame), atol=1e-5)


SINGLE = helper.make_node("MatMul", ["x", "w"], ["y"])


def test_one_logit_for_each_row_is_that_of_the_second_class(tmp_path: pathlib.Path) -> None:
    data = models.linear(SINGLE).SerializeToString()
    taken = models.take(tmp_path, data, columns=["a", "b"], classes=["no", "yes"], scores="logits")
    logits = VALUES @ np.array([1.0, 2.0], np.float32)
    predicted = taken.predict(FRAME)
    np.testing.assert_allclose(np.array(predicted.probability)[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert predicted.prediction.tolist() == np.where(logits > 0, "yes", "no").tolist()


def test_classes_in_the_order_of_the_outputs_become_sorted(tmp_path: pathlib.Path) -> None:
    node = helper.make_node("MatMul", ["x", "w3"], ["y"])
    weights = np.array([[1, 0, -1], [0, 1, 0]], np.float32)
    outputs = [value("y", FLOAT, "rows", 3)]
    data = models.linear(node, outputs=outputs, w3=weights).SerializeToString()
    classes = ["late", "early", "never"]
    taken = models.take(tmp_path, data, columns=["a", "b"], classes=classes, scores="logits")
    assert taken.reading.signature["classes"] == ["early", "late", "never"]
    expected = np.array(classes)[(VALUES @ weights).argmax(axis=1)]
    assert taken.predict(FRAME).prediction.tolist() == expected.tolist()
    assert online(taken, FRAME).prediction.tolist() == expected.tolist()
    unnamed = models.take(tmp_path, data, columns=["a", "b"], problem="classification", scores="logits")
    assert unnamed.reading.signature["classes"] == [0, 1, 2]


def test_a_regression_exported_for_one_row_predicts_many(tmp_path: pathlib.Path) -> None:
    data = models.linear(SINGLE, inputs=[value("x", FLOAT, 1, 2)], outputs=[value("y", FLOAT, 1, 1)])
    taken = models.take(tmp_path, data.SerializeToString(), problem="regression")
    described: Any = taken.reading.signature["columns"]
    assert [column["name"] for column in described] == ["x_0", "x_1"]
    assert "Give `columns`" in taken.reading.notes[0]
    frame = FRAME.set_axis(["x_0", "x_1"], axis=1)
    np.testing.assert_allclose(taken.predict(frame).prediction, VALUES @ [1, 2], atol=1e-6)


def test_inputs_of_whole_numbers_and_flags_take_nothing_else(tmp_path: pathlib.Path) -> None:
    nodes = [
        helper.make_node("Cast", ["n"], ["n_f"], to=FLOAT),
        helper.make_node("Cast", ["flag"], ["flag_f"], to=FLOAT),
        helper.make_node("Add", ["n_f", "flag_f"], ["y"]),
    ]
    inputs = [value("n", INT64, "rows", 1), value("flag", TensorProto.BOOL, "rows", 1)]
    data = models.linear(*nodes, inputs=inputs).SerializeToString()
    taken = models.take(tmp_path, data, problem="regression")
    frame = pd.DataFrame({"n": [3.0, -4.0], "flag": [1.0, 0.0]})
    assert taken.predict(frame).prediction.tolist() == [4.0, -4.0]
    assert online(taken, frame).prediction.tolist() == [4.0, -4.0]
    for bad, reason in ((2.5, "holds 2.5 in row 2"), (np.nan, "holds no value"), (2.0**60, "whole number from")):
        wrong = frame.assign(n=[1.0, bad])
        with pytest.raises(errors.BadDataError, match=reason):
            taken.predict(wrong)
        model = OnnxModel(taken.model[-1].graph.tobytes(), signature=taken.reading.signature, problem="regression")
        assert model.feed({"n": [1.0, bad], "flag": [True, False]}) is None


def test_rows_that_lack_what_the_model_needs_are_refused(tmp_path: pathlib.Path) -> None:
    _, data = models.logistic()
    taken = models.take(tmp_path, data, columns=["a", "b"])
    described: Any = taken.reading.signature["columns"]
    assert [column["required"] for column in described] == [True, True]
    assert "no answer to rows without a value in 'a', 'b'" in taken.reading.notes[-1]
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, np.nan]})
    with pytest.raises(errors.BadDataError, match="'b' holds no value in row 2"):
        taken.predict(frame)
    model = OnnxModel(taken.model[-1].graph.tobytes(), signature=taken.reading.signature, problem="classification")
    assert model.feed({"a": [1.0, 2.0], "b": [0.5, None]}) is None
    assert model.feed({"a": [1.0, 2.0], "b": [0.5, 0.5]}) is not None


def test_an_export_of_ours_comes_back_and_what_like_says_is_taken(tmp_path: pathlib.Path) -> None:
    made, data = models.logistic()
    first = models.take(tmp_path, data, columns=["a", "b"], target="great")
    again = models.take(tmp_path, first.model[-1].graph.tobytes(), like=first.reading.signature)
    assert again.reading.signature == first.reading.signature
    assert again.predict(FRAME).prediction.tolist() == made.predict(VALUES).tolist()


def test_an_inner_graph_uses_the_constants_outside(tmp_path: pathlib.Path) -> None:
    branches = {
        name: helper.make_graph(
            [helper.make_node("MatMul", ["x", weight], [name])], name, [], [value(name, FLOAT, "r", 1)]
        )
        for name, weight in (("then_y", "w"), ("else_y", "w"))
    }
    nodes = [
        helper.make_node("Size", ["x"], ["count"]),
        helper.make_node("Greater", ["count", "zero"], ["some"]),
        helper.make_node("If", ["some"], ["y"], then_branch=branches["then_y"], else_branch=branches["else_y"]),
    ]
    data = models.linear(*nodes, zero=np.array(0, np.int64)).SerializeToString()
    taken = models.take(tmp_path, data, columns=["w", "x"], problem="regression")
    frame = FRAME.set_axis(["w", "x"], axis=1)
    np.testing.assert_allclose(taken.predict(frame).prediction, VALUES @ [1, 2], atol=1e-6)


def test_what_is_stored_is_a_plain_onnx_model_with_an_input_a_column(tmp_path: pathlib.Path) -> None:
    _, data = models.logistic()
    taken = models.take(tmp_path, data, columns=["a", "b"])
    session = onnxruntime.InferenceSession(taken.model[-1].graph.tobytes(), providers=["CPUExecutionProvider"])
    assert [(each.name, each.type) for each in session.get_inputs()] == [
        ("a", "tensor(double)"),
        ("b", "tensor(double)"),
    ]
    assert [each.name for each in session.get_outputs()] == ["label", "probabilities"]
