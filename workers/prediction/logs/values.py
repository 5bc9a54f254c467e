"""Values of requests, as JSON has them, as Arrow's, of the type that their column had in training where they fit it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames
from shared.prediction import prediction_ids
from workers.prediction.online import rows

_BOOLEANS = {"true": True, "false": False}
_NEXT: dict[contract.ColumnType, contract.ColumnType] = {"integer": "number"}
"""The type to try where values don't fit; after that come texts, which fit always."""


def to_array(values: Sequence[Any], type_: contract.ColumnType) -> tuple[pa.Array, contract.ColumnType]:
    """Convert values to an array of a type, or of the next wider one that holds them; returns which it is.

    Models take more than their types: a number as text, or 1.5 where all were whole in training.
    """
    while type_ != "string":
        try:
            return _convert(values, type_), type_
        except (pa.ArrowException, ValueError, TypeError, OverflowError, errors.BadDataError):
            type_ = _NEXT.get(type_, "string")
    texts = [value if value is None or isinstance(value, str) else _to_text(value) for value in values]
    return pa.array(texts, pa.string()), "string"


def _convert(values: Sequence[Any], type_: contract.ColumnType) -> pa.Array:
    physical = frames.PHYSICAL_TYPES[type_]
    if type_ in contract.TEMPORAL:
        column = {"name": "", "type": type_}
        times = np.array([rows.to_time(value, row=1, column=column) for value in values], dtype="datetime64[us]")
        array = pa.array(times)
        if type_ == "timestamp":
            return array.cast(pa.timestamp("us")).cast(physical)
        dates = array.cast(physical, safe=False)
        if not dates.cast(array.type).equals(array):
            raise ValueError("these are times, and no dates")
        return dates
    try:
        # Arrow would cut what follows the point.
        if type_ != "integer" or not any(isinstance(value, float) for value in values):
            return pa.array(values, physical)
        raise TypeError
    except (pa.ArrowException, TypeError):
        read = _READ[type_]
        return pa.array([None if value is None else read(value) for value in values], physical)


def _to_boolean(value: Any) -> bool:
    if isinstance(value, str):
        value = _BOOLEANS.get(value.lower(), value)
    if value not in (0, 1):
        raise ValueError("this is no truth value")
    return bool(value)


def _to_integer(value: Any) -> int:
    whole = int(value)
    if not isinstance(value, str) and whole != value:
        raise ValueError("this number is not whole")
    return whole


def _to_text(value: Any) -> str:
    return prediction_ids.to_text(value)


_READ: Mapping[contract.ColumnType, Callable[[Any], Any]] = {
    "boolean": _to_boolean,
    "integer": _to_integer,
    "number": float,
}
