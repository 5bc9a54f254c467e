"""Values of a table's columns as clients send them: in JSON, checked, and as they are stored."""

import datetime
import math
from typing import Any

from shared import contract

MAX_TEXT = 100_000
_LEAST, _MOST = -(2**63), 2**63 - 1


def check(value: Any, column_type: contract.ColumnType) -> Any:
    """Return a value as it is stored; ValueError, which says what is wanted, for one that its column can't have.

    None is missing. Times are kept as they were written, and are in UTC where they have no zone.
    """
    if value is None:
        return None
    if column_type == "boolean":
        if not isinstance(value, bool):
            raise ValueError("true, false or null")
    elif column_type == "string":
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise ValueError(f"a text of at most {MAX_TEXT:,} characters, or null")
    elif column_type == "integer":
        if type(value) is not int or not _LEAST <= value <= _MOST:
            raise ValueError("a whole number of at most 64 bits, or null")
    elif column_type == "number":
        return _check_number(value)
    else:
        _check_time(value)
    return value


def _check_number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(number := float(value)):
        raise ValueError("a finite number or null")
    # PostgreSQL keeps no sign of 0.
    return number + 0.0


def _check_time(value: Any) -> None:
    try:
        if not isinstance(value, str):
            raise ValueError
        datetime.datetime.fromisoformat(value).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("a time as in ISO 8601, such as '2026-01-31T12:00:00Z', or null") from error
