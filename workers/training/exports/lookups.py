"""ONNX of encoders: what becomes of each value of a column is asked of the fitted encoder, and kept in a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workers.training.exports.graph import BOOL, INT64, Block, Graph

UNSEEN_TEXT = "\ue000 unseen \ue000"
"""A text that no data has."""


def encode(graph: Graph, fitted: Any, blocks: Sequence[Block]) -> str:
    """Look each column's values up, and put what they become side by side."""
    columns = [graph.pick(block, [name]) for block in blocks for name in block.names]
    ends = np.cumsum([0, *_widths(fitted, len(columns))])
    looked_up = []
    for place, column in enumerate(columns):
        values = _values(fitted, place)
        table = _asked(fitted, columns, place, values)[:, ends[place] : ends[place + 1]]
        look_up = _look_texts_up if column.kind == "text" else _look_numbers_up
        looked_up.append(look_up(graph, column, values, table))
    return graph.node("Concat", *looked_up, axis=1) if len(looked_up) > 1 else looked_up[0]


def _values(fitted: Any, place: int) -> list[Any]:
    """Give the values of a column that the encoder knows, missing ones aside."""
    known = fitted.shares_[place]["categories"] if hasattr(fitted, "shares_") else fitted.categories_[place].tolist()
    return [value for value in known if value is not None and value == value]


def _widths(fitted: Any, columns: int) -> list[int]:
    """Give how many columns the encoder makes of each."""
    if hasattr(fitted, "_n_features_outs"):
        return list(fitted._n_features_outs)
    classes = getattr(fitted, "classes_", None)
    return [len(classes) if classes is not None and len(classes) > 2 else 1] * columns


def _asked(fitted: Any, columns: Sequence[Block], place: int, values: list[Any]) -> npt.NDArray[np.float64]:
    """Ask what becomes of a column's values; the last two rows are of a missing value and of one never seen."""
    unseen = UNSEEN_TEXT if columns[place].kind == "text" else max(map(abs, values), default=0.0) + 1.0
    return np.vstack([_ask(fitted, columns, place, some) for some in (values, [np.nan], [unseen]) if some])


def _ask(fitted: Any, columns: Sequence[Block], place: int, values: list[Any]) -> npt.NDArray[np.float64]:
    """Encode rows with these values in one column; NaN where the encoder refuses them."""
    rows = {}
    for other, column in enumerate(columns):
        held = values if other == place else [next(iter(_values(fitted, other)), np.nan)] * len(values)
        rows[column.names[0]] = np.asarray(held, dtype=object if column.kind == "text" else np.float64)
    try:
        made = fitted.transform(pd.DataFrame(rows))
    except ValueError:
        return np.full((len(values), sum(_widths(fitted, len(columns)))), np.nan)
    dense = made.toarray() if hasattr(made, "toarray") else made
    return np.asarray(dense, dtype=np.float64)


def _look_texts_up(graph: Graph, column: Block, values: list[str], table: npt.NDArray[np.float64]) -> str:
    """Look texts up in a hash table; a missing one is empty."""
    keys = {"": len(values)} | {value: place for place, value in enumerate(values)}
    found = graph.node(
        "LabelEncoder",
        column.tensor,
        domain="ai.onnx.ml",
        keys_strings=list(keys),
        values_int64s=list(keys.values()),
        default_int64=len(values) + 1,
    )
    place = graph.node("Squeeze", found, graph.constant([1], np.int64))
    return graph.node("Gather", graph.floats(table), place, axis=0)


def _look_numbers_up(graph: Graph, column: Block, values: list[float], table: npt.NDArray[np.float64]) -> str:
    """Compare numbers with all that were seen in training."""
    axis = graph.constant([1], np.int64)
    missing, unseen = graph.constant(len(values), np.int64), graph.constant(len(values) + 1, np.int64)
    place = unseen
    if values:
        same = graph.node("Cast", graph.node("Equal", column.tensor, graph.floats([values])), to=INT64)
        is_seen = graph.node("Cast", graph.node("ReduceMax", same, axis, keepdims=0), to=BOOL)
        place = graph.node("Where", is_seen, graph.node("ArgMax", same, axis=1, keepdims=0), unseen)
    is_missing = graph.node("Squeeze", graph.node("IsNaN", column.tensor), axis)
    return graph.node("Gather", graph.floats(table), graph.node("Where", is_missing, missing, place), axis=0)
