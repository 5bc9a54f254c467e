"""Columns of an expression in ONNX: tensors of (rows, 1), or (1, 1) for a literal, and where they are missing.

Numbers and booleans are float64, where NaN is missing, times int64 microseconds. Texts are all present; beside them
stands which of them are missing.
"""

import dataclasses
from typing import Any

import numpy as np

from workers.training.exports import texts
from workers.training.exports.graph import DOUBLE, MISSING_INSTANT, Block, Graph


@dataclasses.dataclass(frozen=True)
class Values:
    """A column: its kind in the expression language, its tensor, and a tensor of booleans, true where it is missing."""

    kind: str
    tensor: str
    missing: str


def read(graph: Graph, block: Block, kind: str) -> Values:
    """Read a column that a recipe's earlier steps have left."""
    if kind != "text":
        return mark(graph, kind, block.tensor)
    missing = graph.node("Equal", block.tensor, graph.constant([[""]], object))
    return Values(kind, texts.without_sign(graph, block.tensor), missing)


def mark(graph: Graph, kind: str, tensor: str) -> Values:
    """Find which numbers, booleans or times are missing."""
    if kind == "time":
        return Values(kind, tensor, graph.node("Equal", tensor, graph.constant(MISSING_INSTANT, np.int64)))
    return Values(kind, tensor, graph.node("IsNaN", tensor))


def repeat(graph: Graph, value: Any, kind: str) -> Values:
    """Add a literal; None is a missing value of this kind."""
    if kind == "text":
        tensor = graph.constant([["" if value is None else value]], object)
        return Values(kind, tensor, graph.constant([[value is None]], np.bool_))
    if kind == "time":
        return mark(graph, kind, graph.constant([[MISSING_INSTANT if value is None else value]], np.int64))
    return mark(graph, kind, graph.floats([[np.nan if value is None else float(value)]]))


def to_truth(graph: Graph, results: str, *columns: Values) -> Values:
    """Convert booleans of ONNX to 1 and 0, missing where one of the columns that they were computed from is."""
    numbers = graph.node("Cast", results, to=DOUBLE)
    return mark(graph, "boolean", graph.node("Where", any_missing(graph, columns), graph.floats(np.nan), numbers))


def any_missing(graph: Graph, columns: tuple[Values, ...]) -> str:
    """Add where one of these columns is missing."""
    missing = columns[0].missing
    for column in columns[1:]:
        missing = graph.node("Or", missing, column.missing)
    return missing


def choose(graph: Graph, condition: str, yes: Values, no: Values) -> Values:
    """Take one column's values where a condition of ONNX holds, else the other's."""
    tensor = graph.node("Where", condition, yes.tensor, no.tensor)
    if yes.kind != "text":
        return mark(graph, yes.kind, tensor)
    # The runtime has no choice between booleans.
    of_yes = graph.node("And", condition, yes.missing)
    of_no = graph.node("And", graph.node("Not", condition), no.missing)
    return Values(yes.kind, tensor, graph.node("Or", of_yes, of_no))


def write(graph: Graph, values: Values, name: str, *, like: str) -> Block:
    """Make a column of a recipe, with as many rows as another tensor has."""
    rows = graph.node("Shape", like, start=0, end=1)
    shape = graph.node("Concat", rows, graph.constant([1], np.int64), axis=0)
    tensor = values.tensor
    if values.kind == "text":
        # Between steps a missing text is an empty one, so that a present one needs another sign.
        empty, sign = graph.constant([[""]], object), graph.constant([[texts.EMPTY_TEXT]], object)
        marked = graph.node("Where", graph.node("Equal", tensor, empty), sign, tensor)
        tensor = graph.node("Where", values.missing, empty, marked)
        return Block((name,), graph.node("Expand", tensor, shape), "text")
    return Block((name,), graph.node("Expand", tensor, shape), "instant" if values.kind == "time" else "number")
