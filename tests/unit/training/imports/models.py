"""Models as others make them: by skl2onnx, and by hand as PyTorch and others write them."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import onnx
import pandas as pd
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn import linear_model

from shared import digests
from shared.ml import artifacts, predictions, signatures
from workers.training.imports import reader
from workers.training.imports.candidate import Reading

DOUBLE, FLOAT, INT64, STRING = TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def table(*, rows: int = 60) -> tuple[Any, Any]:
    """Make numbers, (rows, 2) of float32, and whether their sum is great."""
    numbers = np.random.default_rng(3).normal(size=(rows, 2)).astype(np.float32)
    return numbers, np.where(numbers.sum(axis=1) > 0, "yes", "no")


def logistic() -> tuple[Any, bytes]:
    """Fit a logistic regression, and write it with a map of probabilities as skl2onnx does by default."""
    numbers, labels = table()
    model = linear_model.LogisticRegression().fit(numbers, labels)
    return model, skl2onnx.to_onnx(model, numbers[:1], target_opset=21).SerializeToString()


def linear(*nodes: Any, inputs: Any = None, outputs: Any = None, opset: int = 17, **constants: Any) -> onnx.ModelProto:
    """Make a model of these nodes; by default of one input `x`, (rows, 2), and one output `y`, (rows, 1)."""
    inputs = inputs or [helper.make_tensor_value_info("x", FLOAT, ["rows", 2])]
    outputs = outputs or [helper.make_tensor_value_info("y", FLOAT, ["rows", 1])]
    weights = {"w": np.array([[1.0], [2.0]], np.float32), **constants}
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "made",
        inputs,
        outputs,
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@dataclasses.dataclass(frozen=True)
class Imported:
    """What was read of a file, and the model of the artifact that was written."""

    reading: Reading
    model: Any

    def predict(self, frame: pd.DataFrame) -> predictions.Predictions:
        """Predict rows that need not have the model's dtypes."""
        conformed = signatures.conform(frame, signature=self.reading.signature)
        return predictions.predict(self.model, conformed, problem=self.reading.problem)


def take(folder: pathlib.Path, data: bytes, *, like: dict[str, Any] | None = None, **command: Any) -> Imported:
    """Read a file as the job does, but in this process."""
    path, artifact = folder / "upload", folder / "model.skops"
    path.write_bytes(data)
    source = {"type": "upload", "upload": "0" * 26}
    instructions = {
        "command": {"name": "bought", "source": source, **command},
        "like": like,
        "path": str(path),
        "artifact": str(artifact),
        "scratch": str(folder),
    }
    reading = reader.read(instructions)
    return Imported(reading, artifacts.load(artifact, sha256=digests.of_file(artifact)))
