"""Converts encoders to ONNX: the fitted encoder encodes each known value of a column, and the results are a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors
from shared.ml import integers
from workers.training.exports import texts
from workers.training.exports.graph import BOOL, INT64, Block, Graph

UNSEEN_TEXT = "\ue000 unseen \ue000"
"""A text that does not occur in any data."""


def encode(graph: Graph, fitted: Any, blocks: Sequence[Block]) -> str:
    """Add the lookup of each column's values, and concatenate the encoded columns."""
    columns = [graph.pick(block, [name]) for block in blocks for name in block.names]
    ends = np.cumsum([0, *_count_outputs(fitted, len(columns))])
    encoded = []
    for index, column in enumerate(columns):
        values = _known_values(fitted, index)
        table = _encode_values(fitted, columns, index, values)[:, ends[index] : ends[index + 1]]
        look_up = _look_texts_up if column.kind == "text" else _look_numbers_up
        encoded.append(look_up(graph, column, values, table))
    return graph.node("Concat", *encoded, axis=1) if len(encoded) > 1 else encoded[0]


def _known_values(fitted: Any, index: int) -> list[Any]:
    """List the values of a column that the encoder knows, except missing ones."""
    values = fitted.shares_[index]["categories"] if hasattr(fitted, "shares_") else fitted.categories_[index].tolist()
    present = [value for value in values if value is not None and value == value]
    large = [value for value in present if isinstance(value, int) and abs(value) >= integers.LIMIT]
    if large:
        raise errors.BadModelError(f"it knows the category {large[0]}, which float64 can't tell from its neighbours")
    return present


def _count_outputs(fitted: Any, columns: int) -> list[int]:
    """Count the columns that the encoder makes of each column."""
    if hasattr(fitted, "_n_features_outs"):
        return list(fitted._n_features_outs)
    classes = getattr(fitted, "classes_", None)
    return [len(classes) if classes is not None and len(classes) > 2 else 1] * columns


def _encode_values(fitted: Any, columns: Sequence[Block], index: int, values: list[Any]) -> npt.NDArray[np.float64]:
    """Encode a column's known values; the last two rows are for a missing value and for an unseen one."""
    unseen = UNSEEN_TEXT if columns[index].kind == "text" else max(map(abs, values), default=0.0) + 1.0
    return np.vstack(
        [_encode_rows(fitted, columns, index, value_list) for value_list in (values, [np.nan], [unseen]) if value_list]
    )


def _encode_rows(fitted: Any, columns: Sequence[Block], index: int, values: list[Any]) -> npt.NDArray[np.float64]:
    """Encode rows with these values in one column; NaN where the encoder refuses them."""
    rows = {}
    for other, column in enumerate(columns):
        column_values = values if other == index else [next(iter(_known_values(fitted, other)), np.nan)] * len(values)
        rows[column.names[0]] = np.asarray(column_values, dtype=object if column.kind == "text" else np.float64)
    try:
        encoded = fitted.transform(pd.DataFrame(rows))
    except ValueError:
        return np.full((len(values), sum(_count_outputs(fitted, len(columns)))), np.nan)
    dense = encoded.toarray() if hasattr(encoded, "toarray") else encoded
    return np.asarray(dense, dtype=np.float64)


def _look_texts_up(graph: Graph, column: Block, values: list[str], table: npt.NDArray[np.float64]) -> str:
    """Look texts up in a hash table; a missing text is an empty one."""
    keys = {value or texts.EMPTY_TEXT: row for row, value in enumerate(values)} | {"": len(values)}
    codes = graph.node(
        "LabelEncoder",
        column.tensor,
        domain="ai.onnx.ml",
        keys_strings=list(keys),
        values_int64s=list(keys.values()),
        default_int64=len(values) + 1,
    )
    row = graph.node("Squeeze", codes, graph.constant([1], np.int64))
    return graph.node("Gather", graph.floats(table), row, axis=0)


def _look_numbers_up(graph: Graph, column: Block, values: list[float], table: npt.NDArray[np.float64]) -> str:
    """Look numbers up by comparing them with all that the encoder knows."""
    axis = graph.constant([1], np.int64)
    missing, unseen = graph.constant(len(values), np.int64), graph.constant(len(values) + 1, np.int64)
    row = unseen
    if values:
        matches = graph.node("Cast", graph.node("Equal", column.tensor, graph.floats([values])), to=INT64)
        is_seen = graph.node("Cast", graph.node("ReduceMax", matches, axis, keepdims=0), to=BOOL)
        row = graph.node("Where", is_seen, graph.node("ArgMax", matches, axis=1, keepdims=0), unseen)
    is_missing = graph.node("Squeeze", graph.node("IsNaN", column.tensor), axis)
    return graph.node("Gather", graph.floats(table), graph.node("Where", is_missing, missing, row), axis=0)
