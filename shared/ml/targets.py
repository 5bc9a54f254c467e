"""Reads what a model learns: numbers for regression, labels for classification."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames

Label = str | int | bool
Values = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def read_target(path: Path, *, target: str, problem: str) -> tuple[Values, Mask]:
    """Read a target's known values, and for each row of the file whether it is known; see `to_target`."""
    return to_target(frames.read_table(path, columns=[target]).column(target), name=target, problem=problem)


def to_target(array: pa.Array | pa.ChunkedArray, *, name: str, problem: str) -> tuple[Values, Mask]:
    """Give the known values and, for every row, whether its value is known.

    Values are float64 for regression; for classification text (object), int64 or bool, whole numbers being labels
    whether they are stored as integer or number. BadDataError when they can't be what the problem needs.
    """
    [column] = frames.columns_of(pa.schema([pa.field(name, array.type)]))
    convert = _to_numbers if problem == "regression" else _to_labels
    known = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    if column.type == "number":
        known &= ~np.isnan(_floats(array))
    return convert(array, column, known), known


def text(label: Label) -> str:
    """Write a label as it appears in column names and messages: true and false for booleans."""
    return str(label).lower() if isinstance(label, bool | np.bool_) else str(label)


def label_type(classes: list[Label]) -> contract.ColumnType:
    """Say which column type holds these labels."""
    if all(isinstance(label, bool) for label in classes):
        return "boolean"
    return "integer" if all(isinstance(label, int) for label in classes) else "string"


def to_json(classes: Values) -> list[Label]:
    """Give an estimator's `classes_` as plain values."""
    return [label.item() if isinstance(label, np.generic) else label for label in classes.tolist()]


def _to_numbers(array: pa.Array | pa.ChunkedArray, column: contract.Column, known: Mask) -> Values:
    if column.type not in frames.NUMERIC:
        raise errors.BadDataError(
            f"regression needs a numeric target, but column {column.name!r} is of type {column.type}"
        )
    values = _floats(array)[known]
    if np.isinf(values).any():
        raise errors.BadDataError(f"the target {column.name!r} holds an infinite number; every value must be finite")
    return values


def _to_labels(array: pa.Array | pa.ChunkedArray, column: contract.Column, known: Mask) -> Values:
    if column.type in frames.TEMPORAL:
        raise errors.BadDataError(
            f"classification needs text, whole numbers or booleans, but the target {column.name!r} is a {column.type}"
        )
    if column.type == "number":
        return _whole(_floats(array)[known], column.name)
    if column.type == "string":
        return np.asarray(array.cast(pa.string()).drop_null().to_pandas(), dtype=object)
    kind = np.bool_ if column.type == "boolean" else np.int64
    return np.asarray(array.drop_null().to_numpy(zero_copy_only=False), dtype=kind)


def _whole(values: Values, name: str) -> Values:
    broken = values[values != np.floor(values)]
    if len(broken) or np.isinf(values).any():
        seen = broken[0] if len(broken) else np.inf
        raise errors.BadDataError(
            f"classification needs labels, but the target {name!r} holds the number {seen}; use regression"
        )
    return values.astype(np.int64)


def _floats(array: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
