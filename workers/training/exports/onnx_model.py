"""Writes a fitted pipeline as an ONNX model with one input tensor for each raw column."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from pydantic import JsonValue

from shared import errors
from shared.ml import frames, signatures
from workers.training.exports import estimators, recipe
from workers.training.exports.graph import DOUBLE, FLOAT, Graph, Kind

NAMES: dict[str, str | dict[str, str]] = {
    "prediction": {"classification": "label", "clustering": "label", "anomaly": "is_anomaly", "multilabel": "labels"},
    "probability": "probabilities",
    "decision": "anomaly_score",
    "lower": "prediction_lower",
    "upper": "prediction_upper",
    "quantiles": "quantiles",
}
NUMPY: dict[int, Any] = {FLOAT: np.float32, DOUBLE: np.float64}


def kind_of(column_type: str) -> Kind:
    """Say as what sort of tensor a column is given."""
    if column_type in frames.TEMPORAL:
        return "instant"
    return "text" if column_type == "string" else "number"


def convert(
    pipeline: Any, *, signature: signatures.Signature, problem: str, inputs: int, element: int, notes: dict[str, str]
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Give the model whose numeric inputs are of the type `inputs` and whose estimator computes in `element`.

    With it comes the name of the output for each field of `predictions.Predictions` that it answers.
    """
    columns = _columns(signature)
    graph = Graph(list(columns))
    blocks = [graph.take(name, kind=kind, number_type=inputs) for name, kind in columns.items()]
    for _, step in pipeline.steps[:-1]:
        blocks = recipe.convert(graph, step, blocks)
    if any(block.kind != "number" for block in blocks):
        raise errors.BadModelError("the recipe leaves columns that are no numbers")
    features = graph.side_by_side(blocks).tensor
    answers = estimators.convert(graph, pipeline[-1], features, problem=problem, element=element)
    names = {field: _output_name(field, problem, taken=columns) for field in answers}
    for field, answer in answers.items():
        graph.give(answer.tensor, names[field], element=answer.element, width=answer.width)
    return graph.finish(notes=notes), names


def feed(frame: pd.DataFrame, *, signature: signatures.Signature, inputs: int) -> dict[str, npt.NDArray[Any]]:
    """Give a frame's columns as the model's inputs; a missing text is empty, a missing date the smallest int64."""
    fed = {}
    for name, kind in _columns(signature).items():
        column = frame[name]
        if kind == "text":
            values = column.where(column.notna(), "").to_numpy(dtype=object)
        elif kind == "instant":
            values = column.to_numpy(dtype="datetime64[us]").astype(np.int64)
        else:
            values = column.to_numpy(dtype=NUMPY[inputs])
        fed[name] = values.reshape(-1, 1)
    return fed


def describe_inputs(signature: signatures.Signature, *, inputs: int) -> list[JsonValue]:
    """Say what to feed, for the export's details."""
    about = {
        "text": ("string", "an empty text where it is missing"),
        "instant": ("int64", "microseconds since 1970 in UTC; the smallest int64 where it is missing"),
        "number": (np.dtype(NUMPY[inputs]).name, "NaN where it is missing"),
    }
    return [
        {"name": name, "datatype": about[kind][0], "shape": "rows, 1", "meaning": about[kind][1]}
        for name, kind in _columns(signature).items()
    ]


def _columns(signature: signatures.Signature) -> dict[str, Kind]:
    described: Any = signature["columns"]
    columns: dict[str, Kind] = {column["name"]: kind_of(column["type"]) for column in described}
    if "" in columns:
        raise errors.BadModelError("a column without a name can't be an input of ONNX")
    return columns


def _output_name(field: str, problem: str, *, taken: dict[str, Kind]) -> str:
    known = NAMES[field]
    name = known if isinstance(known, str) else known.get(problem, "prediction")
    while name in taken:
        name = f"{name}_output"
    return name
