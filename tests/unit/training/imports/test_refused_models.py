"""What runs code, refers to other files, never ends, is not standard or answers by chance is refused, and why."""

import io
import pathlib
import pickle
import tarfile
import zipfile
import zlib
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from shared import errors
from tests.unit.training.imports import models
from tests.unit.training.imports.models import FLOAT

MULTIPLY = helper.make_node("MatMul", ["x", "w"], ["y"])


def zipped(**files: bytes) -> bytes:
    """Pack files whose names have '_' for the point."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_", "."), data)
    return target.getvalue()


def tarred(data: bytes, name: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


PICKLE = pickle.dumps({"a": 1})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PICKLE, "this is a pickle"),
        (pickle.dumps([1], protocol=2), "this is a pickle"),
        (zlib.compress(PICKLE), "as joblib does it, which runs code"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5 file, as Keras"),
        (zipped(data_pkl=PICKLE), "holds a pickle, as PyTorch"),
        (zipped(schema_json=b"{}"), "this is a skops file"),
        (zipped(readme_txt=b""), "no MLmodel"),
        (tarred(PICKLE, "model/model.pkl"), "holds a pickle, 'model/model.pkl'"),
        (b"PK\x03\x04 and no more", "the zip can't be read"),
        (b"\x1f\x8b and no more", "the archive can't be read"),
        (b"hello", "this is not an ONNX model"),
        (b"\x08\x07", "no graph with outputs"),
        (b"tree\nversion=v3\nend of trees\n", "objective is ''"),
        (b'{"learner": 1}', "not a model of XGBoost"),
        (b"{" * 5000, "neither JSON nor UBJSON"),
    ],
)
def test_a_file_that_is_no_model_or_runs_code(tmp_path: pathlib.Path, data: bytes, reason: str) -> None:
    with pytest.raises(errors.PermanentError, match=reason):
        models.take(tmp_path, data, problem="regression")


def external() -> onnx.ModelProto:
    model = models.linear(MULTIPLY)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    tensor.external_data.add(key="length", value="8")
    return model


def in_attribute() -> onnx.ModelProto:
    """Refer to a file from a constant inside a node."""
    tensor = helper.make_tensor("c", FLOAT, [2, 1], [1.0, 2.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("MatMul", ["x", "c"], ["y"])]
    return models.linear(*nodes)


def with_function() -> onnx.ModelProto:
    model = models.linear(helper.make_node("Twice", ["x"], ["y"], domain="ours"))
    nodes = [helper.make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("ours", "Twice", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)]))
    return model


def endless() -> onnx.ModelProto:
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("go", TensorProto.BOOL, [])])
    return models.linear(helper.make_node("Loop", ["", "go_on"], ["y"], body=body), go_on=np.array(True))


def with_opset(version: int) -> onnx.ModelProto:
    return models.linear(MULTIPLY, opset=version)


def images() -> onnx.ModelProto:
    shape = [helper.make_tensor_value_info("x", FLOAT, ["rows", 3, 8, 8])]
    return models.linear(helper.make_node("Flatten", ["x"], ["y"]), inputs=shape)


def grown(operator: str, *inputs: str, **constants: Any) -> onnx.ModelProto:
    """Take how large something becomes from the first column of the first row."""
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["i", "minus_one"], ["flat"]),
        helper.make_node(operator, list(inputs), ["big"]),
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"]),
    ]
    return models.linear(*nodes, minus_one=np.array([-1], np.int64), **constants)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (external(), "'w' stands in another file"),
        (in_attribute(), "'c' stands in another file"),
        (with_function(), "functions of its own"),
        (endless(), "a Loop, which may never end"),
        (models.linear(helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")), "com.microsoft.Gelu"),
        (models.linear(helper.make_node("Mystery", ["x"], ["y"])), "no operator 'Mystery'"),
        (models.linear(helper.make_node("RandomNormalLike", ["x"], ["y"])), "never answers twice alike"),
        (with_opset(5), "is of opset 5"),
        (with_opset(900), "is of opset 900"),
        (images(), r"the shape \(\?, 3, 8, 8\)"),
        (grown("ConstantOfShape", "flat"), "one row could take any amount of memory"),
        (grown("Expand", "w", "flat"), "one row could take any amount of memory"),
        (models.linear(helper.make_node("MatMul", ["x", "nothing"], ["y"])), "is not valid"),
        (
            models.linear(
                helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
                helper.make_node("Sub", ["x", "mean"], ["rest"]),
                helper.make_node("MatMul", ["rest", "w"], ["y"]),
            ),
            "otherwise alone than among others",
        ),
    ],
    ids=lambda each: None if isinstance(each, str) else "model",
)
def test_an_onnx_model_that_is_not_standard_whole_and_bounded(
    tmp_path: pathlib.Path, model: onnx.ModelProto, reason: str
) -> None:
    with pytest.raises(errors.BadModelError, match=reason):
        models.take(tmp_path, model.SerializeToString(), problem="regression")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"columns": ["a", "b", "c"]}, "3 columns don't fit"),
        (
            {"columns": [{"name": "a", "type": "string"}, "b"]},
            "type string, but the model's input 'x' is of type fl",
        ),
        ({"classes": ["a", "b", "c"]}, "probabilities of 2 classes, but there are 3"),
        ({"classes": ["no", "yes"]}, "scores aren't probabilities"),
        ({"outputs": {"prediction": "z"}}, "no output 'z'"),
        ({"problem": None}, "whether it predicts classes or numbers"),
        ({"columns": ["a", "b"], "target": "a"}, "'a' is one of the columns"),
        ({"format": "lightgbm"}, "looks like onnx, not lightgbm"),
        ({"problem": "classification", "scores": "none"}, "no output that could be a class"),
    ],
)
def test_a_request_that_does_not_fit_the_model(tmp_path: pathlib.Path, fields: dict[str, Any], reason: str) -> None:
    problem = {} if "classes" in fields else {"problem": "regression"}
    with pytest.raises((errors.BadModelError, ValueError), match=reason):
        models.take(tmp_path, models.linear(MULTIPLY).SerializeToString(), **problem | fields)
