"""Writes lists and structures of Arrow as JSON."""

import json
import math
from typing import Any

import pyarrow as pa


def to_json(array: pa.Array) -> pa.Array:
    """Write each value as JSON: bytes as text or, where they are none, in hexadecimal, and NaN as null."""
    try:
        values = array.to_pylist()
    except (OverflowError, ValueError):
        # A date or time outside the years 1 to 9999; Arrow can write it, Python can't hold it.
        values = array.cast(_with_texts_for_times(array.type)).to_pylist()
    return pa.array([None if value is None else _dump(value) for value in values], pa.string())


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_to_text, allow_nan=False)
    except ValueError:
        return json.dumps(_replace_nan(value), ensure_ascii=False, default=_to_text)


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return str(value)


def _replace_nan(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_replace_nan(item) for item in value]
    if isinstance(value, dict):
        return {name: _replace_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_texts_for_times(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type in which dates and times are text."""
    if pa.types.is_map(arrow_type):
        return pa.map_(_with_texts_for_times(arrow_type.key_type), _with_texts_for_times(arrow_type.item_type))
    if pa.types.is_struct(arrow_type):
        return pa.struct([field.with_type(_with_texts_for_times(field.type)) for field in arrow_type])
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(_with_texts_for_times(arrow_type.value_type), arrow_type.list_size)
    if pa.types.is_list(arrow_type):
        return pa.list_(_with_texts_for_times(arrow_type.value_type))
    if pa.types.is_large_list(arrow_type):
        return pa.large_list(_with_texts_for_times(arrow_type.value_type))
    return pa.string() if pa.types.is_timestamp(arrow_type) or pa.types.is_date(arrow_type) else arrow_type
