"""What the ONNX of a part answers, and how a part that skl2onnx converts is put into a graph."""

import dataclasses
from typing import Any

from workers.training.exports import skl2onnx_parts
from workers.training.exports.graph import DOUBLE, Graph


@dataclasses.dataclass(frozen=True)
class Answer:
    """A tensor that answers something: (rows,) where `width` is None, else (rows, width)."""

    tensor: str
    element: int
    width: int | None = None


Answers = dict[str, Answer]
"""Answers by the names of `predictions.Predictions`."""


def inline(graph: Graph, estimator: Any, features: str, element: int, **options: Any) -> list[str]:
    """Add an estimator as skl2onnx converts it with these options, and give its outputs."""
    model = skl2onnx_parts.convert(estimator, element=element, options=options)
    taken = model.graph.input[0].type.tensor_type.elem_type
    given = features if taken == DOUBLE else graph.node("Cast", features, to=taken)
    return graph.inline(model, given)
