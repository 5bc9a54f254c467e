"""Converts a fitted pipeline to an ONNX model with one input tensor for each raw column."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from pydantic import JsonValue

from shared import errors
from shared.ml import frames, predictions, signatures
from workers.training.exports import estimators, recipe
from workers.training.exports.graph import DOUBLE, FLOAT, Graph, Kind

NUMPY_TYPES: dict[int, Any] = {FLOAT: np.float32, DOUBLE: np.float64}


def kind_of(column_type: str) -> Kind:
    """Return the kind of tensor for a column type."""
    if column_type in frames.TEMPORAL:
        return "instant"
    return "text" if column_type == "string" else "number"


def convert(
    pipeline: Any,
    *,
    signature: signatures.Signature,
    problem: str,
    inputs: int,
    element_type: int,
    notes: dict[str, str],
    offset: float = 0.0,
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Convert to a model with numeric inputs of the type `inputs` and an estimator that computes in `element_type`.

    `offset` is where the numbers lie that a regressor predicts, if they are to be computed as differences from it.
    Returned with it is the name of the output for each field of `predictions.Predictions` that it predicts.
    """
    columns = _list_columns(signature)
    graph = Graph(list(columns))
    blocks = [graph.add_input(name, kind=kind, number_type=inputs) for name, kind in columns.items()]
    for _, step in pipeline.steps[:-1]:
        # Models made elsewhere have no recipe.
        blocks = blocks if step == "passthrough" else recipe.convert(graph, step, blocks)
    if any(block.kind != "number" for block in blocks):
        raise errors.BadModelError("the recipe leaves columns that are not numbers")
    features = graph.concatenate(blocks).tensor
    outputs = estimators.convert(
        graph, pipeline[-1], features, problem=problem, element_type=element_type, offset=offset
    )
    names = predictions.name_onnx_outputs(outputs, problem=problem, taken=columns)
    for field, output in outputs.items():
        graph.add_output(output.tensor, names[field], element_type=output.element_type, width=output.width)
    return graph.finish(notes=notes), names


def feed(frame: pd.DataFrame, *, signature: signatures.Signature, inputs: int) -> dict[str, npt.NDArray[Any]]:
    """Convert a frame to the model's inputs; a missing text is empty, a missing date the smallest int64."""
    arrays = {}
    for name, kind in _list_columns(signature).items():
        column = frame[name]
        if kind == "text":
            values = column.where(column.notna(), "").to_numpy(dtype=object)
        elif kind == "instant":
            values = column.to_numpy(dtype="datetime64[us]").astype(np.int64)
        else:
            values = column.astype(np.float64).to_numpy(dtype=NUMPY_TYPES[inputs])
        arrays[name] = values.reshape(-1, 1)
    return arrays


def describe_inputs(signature: signatures.Signature, *, inputs: int) -> list[JsonValue]:
    """Describe the inputs, for the export's details."""
    descriptions = {
        "text": ("string", "an empty text where it is missing"),
        "instant": ("int64", "microseconds since 1970 in UTC; the smallest int64 where it is missing"),
        "number": (np.dtype(NUMPY_TYPES[inputs]).name, "NaN where it is missing"),
    }
    return [
        {"name": name, "datatype": descriptions[kind][0], "shape": "rows, 1", "meaning": descriptions[kind][1]}
        for name, kind in _list_columns(signature).items()
    ]


def _list_columns(signature: signatures.Signature) -> dict[str, Kind]:
    column_documents: Any = signature["columns"]
    columns: dict[str, Kind] = {column["name"]: kind_of(column["type"]) for column in column_documents}
    if "" in columns:
        raise errors.BadModelError("a column without a name can't be an input of ONNX")
    return columns
