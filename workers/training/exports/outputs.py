"""The outputs of a converted estimator, and how an estimator that skl2onnx converts is added to a graph."""

import dataclasses
from typing import Any

from workers.training.exports import skl2onnx_parts
from workers.training.exports.graph import DOUBLE, Graph


@dataclasses.dataclass(frozen=True)
class Output:
    """An output tensor: (rows,) where `width` is None, else (rows, width)."""

    tensor: str
    element_type: int
    width: int | None = None


Outputs = dict[str, Output]
"""Outputs by the names of the fields of `predictions.Predictions`."""


def inline(graph: Graph, estimator: Any, features: str, element_type: int, **options: Any) -> list[str]:
    """Add an estimator as skl2onnx converts it with these options, and return its outputs' names."""
    model = skl2onnx_parts.convert(estimator, element_type=element_type, options=options)
    input_type = model.graph.input[0].type.tensor_type.elem_type
    input_tensor = features if input_type == DOUBLE else graph.node("Cast", features, to=input_type)
    return graph.inline(model, input_tensor)
