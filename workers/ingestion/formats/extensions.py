"""Reads Arrow's extension types as the plain types that hold the same values.

docs/decisions/ingestion.md, "Extension types are read as what they mean"
"""

import json
import struct
import uuid
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

EXTENSION_NAME = b"ARROW:extension:name"
EXTENSION_METADATA = b"ARROW:extension:metadata"


def storage_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type that values are stored as; for a plain type, the type itself."""
    return arrow_type.storage_type if isinstance(arrow_type, pa.BaseExtensionType) else arrow_type


def find_name(field: pa.Field) -> str:
    """Find the name of a column's extension type, also of one that nobody has registered; '' for a plain column."""
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.extension_name)
    return str((field.metadata or {}).get(EXTENSION_NAME, b""), errors="replace")


def plain_type(field: pa.Field) -> pa.DataType:
    """Return the type of a column's values once they are plain."""
    match find_name(field):
        case "arrow.uuid" | "pandas.period" | "parquet.interval":
            return pa.string()
        case "arrow.bool8":
            return pa.bool_()
        case _:
            return storage_type(field.type)


def to_plain(column: pa.Array, field: pa.Field) -> pa.Array:
    """Convert a column of an extension type, or its storage, to plain values."""
    storage = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    match find_name(field):
        case "arrow.uuid":
            return _convert_each(storage, lambda value: str(uuid.UUID(bytes=value)))
        case "arrow.bool8":
            return pc.not_equal(storage, 0)
        case "parquet.interval":
            return _convert_each(storage, _to_duration)
        case "pandas.period":
            frequency = _find_frequency(field)
            return _convert_each(storage, lambda ordinal: str(pd.Period(ordinal=ordinal, freq=frequency)))
        case _:
            return storage


def describe(name: str, field: pa.Field) -> str:
    """Describe how the column of this name is read; '' for a plain one, and where nothing changes."""
    extension = find_name(field)
    match extension:
        case "" | "arrow.json" | "arrow.bool8":
            return ""
        case "arrow.uuid":
            return f"Column {name!r} holds UUIDs, which are stored as text."
        case "parquet.interval":
            return f"Column {name!r} holds intervals, which are stored as text such as 'P1M2DT3.500S'."
        case "pandas.period":
            return f"Column {name!r} holds periods of pandas ({_find_frequency(field)!r}), which are stored as text."
        case _:
            return (
                f"Column {name!r} is of the extension type {extension!r}; its values were read as they are stored, "
                f"as {storage_type(field.type)}."
            )


def mark_intervals(fields: pa.Schema, names: list[str]) -> pa.Schema:
    """Mark the columns of Parquet's type INTERVAL, which Arrow shows as plain bytes."""
    for name in names:
        position = fields.get_field_index(name)
        marked = fields.field(position).with_metadata({EXTENSION_NAME: b"parquet.interval"})
        fields = fields.set(position, marked)
    return fields


def _to_duration(value: bytes) -> str:
    """Write an interval of months, days and milliseconds as ISO 8601 does."""
    months, days, milliseconds = struct.unpack("<III", value)
    return f"P{months}M{days}DT{milliseconds // 1000}.{milliseconds % 1000:03}S"


def _convert_each(array: pa.Array, convert: Any) -> pa.Array:
    return pa.array([None if value is None else convert(value) for value in array.to_pylist()], pa.string())


def _find_frequency(field: pa.Field) -> str:
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.freq)
    return str(json.loads((field.metadata or {})[EXTENSION_METADATA])["freq"])
