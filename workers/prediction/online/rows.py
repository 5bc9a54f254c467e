"""The rows of a request, however they were written, as the frame that a model takes.

A row gives the same prediction in each of the forms in which it can be sent, and as a row of a dataset: all of them
become the frame that `shared.ml.frames` makes of Parquet, and `shared.ml.signatures` conforms it.
"""

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from shared import column_names, errors
from shared.ml import frames, integers, signatures

Columns = Mapping[str, Sequence[Any]]
"""Columns of equal length, with values as JSON has them; None is missing."""

MAX_CELLS = 5_000_000
"""The most values that a request may have, those that are left out included."""
_BOOLEANS = {"true": True, "false": False}
_MISSING_TIME = np.datetime64("NaT", "us")


def from_records(records: Sequence[Any]) -> dict[str, list[Any]]:
    """Turn rows, each an object with values by column, into columns; a column that a row leaves out is missing there.

    BadDataError for a row that is no object.
    """
    names: dict[str, None] = {}
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise errors.BadDataError(f"row {index + 1} is {_show(record)}; each row is an object of values by column")
        names.update(dict.fromkeys(record))
        if len(names) * len(records) > MAX_CELLS:
            raise errors.BadDataError(
                f"the {len(records):,} rows have more than {MAX_CELLS // len(records):,} different columns together; "
                f"at most {MAX_CELLS:,} values are permitted in a request"
            )
    return {name: [record.get(name) for record in records] for name in names}


def make_frame(columns: Columns, *, rows: int, signature: signatures.Signature) -> pd.DataFrame:
    """Make the frame of a model's columns, with a row for each row of the request; others are ignored.

    BadDataError, which names column, row and value, for a value that its column can't have had in training.
    """
    described = cast(list[dict[str, Any]], signature["columns"])
    column_names.require([column["name"] for column in described], present=list(columns))
    series = {column["name"]: _make_series(columns[column["name"]], column) for column in described}
    frame = pd.DataFrame(series, index=pd.RangeIndex(rows), columns=list(series))
    return signatures.conform(frame, signature=signature)


def _make_series(values: Sequence[Any], column: Mapping[str, Any]) -> Any:
    if column["type"] in frames.NUMERIC:
        return _make_numbers(values, column)
    make = to_time if column["type"] in frames.TEMPORAL else _to_text
    made = [make(value, row=row, column=column) for row, value in enumerate(values, start=1)]
    if column["type"] in frames.TEMPORAL:
        return pd.Series(np.array(made, dtype="datetime64[us]")).dt.tz_localize("UTC")
    return np.array([*made, None], dtype=object)[:-1]


def _make_numbers(values: Sequence[Any], column: Mapping[str, Any]) -> Any:
    if column["type"] == "boolean":
        values = [_BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value for value in values]
    is_text = False
    for row, value in enumerate(values, start=1):
        if isinstance(value, float) and math.isinf(value):
            raise _refuse(value, row=row, column=column, wanted="a finite number or null")
        if value is not None and not isinstance(value, int | float):
            is_text = isinstance(value, str)
            if not is_text:
                raise _refuse(value, row=row, column=column, wanted="a number or null")
    if is_text:
        return np.array([*(np.nan if value is None else value for value in values), None], dtype=object)[:-1]
    if any(isinstance(value, int) and abs(value) >= integers.LIMIT for value in values):
        return _make_exact(values, column)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _make_exact(values: Sequence[Any], column: Mapping[str, Any]) -> Any:
    for row, value in enumerate(values, start=1):
        if isinstance(value, int) and not integers.LEAST <= value <= integers.MOST:
            raise _refuse(value, row=row, column=column, wanted="a number of at most 64 bits")
    if column["type"] != "integer" or any(isinstance(value, float) and value % 1 for value in values):
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    missing = [value is None or value != value for value in values]
    whole = [0 if gap else int(value) for value, gap in zip(values, missing, strict=True)]
    return pd.Series(pd.arrays.IntegerArray(np.array(whole, dtype=np.int64), np.array(missing, dtype=bool)))


def _to_text(value: Any, *, row: int, column: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return np.nan
    if isinstance(value, int) and not isinstance(value, bool):
        # Codes may be written as numbers: docs/decisions/models.md, "Codes of digits are read as the text …".
        return str(value)
    raise _refuse(value, row=row, column=column, wanted="a text or null")


def to_time(value: Any, *, row: int, column: Mapping[str, Any]) -> np.datetime64:
    """Read a time in UTC, to the microsecond; BadDataError for what is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MISSING_TIME
    if isinstance(value, np.datetime64):
        # Looked up, and not sent.
        return value
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
            utc = moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
            return np.datetime64(utc, "us")
        except (ValueError, OverflowError):
            pass
    raise _refuse(
        value, row=row, column=column, wanted="a time as in ISO 8601, such as '2026-01-31T12:00:00Z', or null"
    )


def _refuse(value: Any, *, row: int, column: Mapping[str, Any], wanted: str) -> errors.BadDataError:
    return errors.BadDataError(
        f"column {column['name']!r} was of type {column['type']} in training, but holds {_show(value)} in row {row}; "
        f"every value must be {wanted}"
    )


def _show(value: Any) -> str:
    if isinstance(value, list | dict):
        # Its text may be as long and as deep as the body.
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
