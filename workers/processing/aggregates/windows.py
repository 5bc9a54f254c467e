"""Windows of time in SQL: which a row is in, by number, and where the window of a number begins and ends."""

import datetime

from shared import contract
from shared.processing import periods
from shared.processing.aggregates import Window

BEYOND = "window"
"""The message of the error that the SQL raises for a window that no column can hold."""
_EPOCH = datetime.date(1970, 1, 1)


def number_of(window: Window, column: str, kind: contract.ColumnType) -> str:
    """Compute the number of the latest window that holds a row's time."""
    every = periods.parse(window.every or "")
    if every.family == "microseconds":
        origin = (window.first_day - _EPOCH).days * periods.DAY_MICROSECONDS
        return _divide(f"(epoch_us({column}) - ({origin}))", every.count)
    day = _local_day(window, column, kind)
    if every.family == "days":
        return _divide(f"(({day} - DATE '1970-01-01') - ({(window.first_day - _EPOCH).days}))", every.count)
    first = window.first_day
    shifted = f"({day} - {first.day - 1})"
    months = f"(year({shifted}) * 12 + month({shifted}) - {first.year * 12 + first.month})"
    return _divide(months, every.count)


def start_of(window: Window, number: str, kind: contract.ColumnType) -> str:
    """Compute where the window of a number begins, as the type of the time."""
    return _checked(_bound(window, f"({number} * {periods.parse(window.every or '').count})", kind))


def end_of(window: Window, number: str, kind: contract.ColumnType) -> str:
    """Compute where the window of a number ends, which it doesn't hold any more."""
    every = periods.parse(window.every or "")
    length = periods.parse(window.length or window.every or "")
    return _checked(_bound(window, f"({number} * {every.count} + {length.count})", kind))


def _checked(bound: str) -> str:
    return f"(CASE WHEN year({bound}) BETWEEN 1 AND 9999 THEN {bound} ELSE error('{BEYOND}') END)"


def _bound(window: Window, units: str, kind: contract.ColumnType) -> str:
    """Compute the instant that is some units after the origin."""
    family, first = periods.parse(window.every or "").family, window.first_day
    if family == "microseconds":
        return f"make_timestamp({units} + ({(first - _EPOCH).days * periods.DAY_MICROSECONDS}))"
    if family == "days":
        day = f"(DATE '1970-01-01' + ({units} + ({(first - _EPOCH).days}))::INTEGER)"
    else:
        months = f"({units} + {first.year * 12 + first.month - 1})"
        day = f"(make_date({_divide(months, 12)}, ({months} - 12 * {_divide(months, 12)}) + 1, 1) + {first.day - 1})"
    if kind == "date":
        return day
    if window.timezone is None:
        return f"{day}::TIMESTAMP"
    bound = f"timezone('UTC', timezone('{window.timezone}', {day}::TIMESTAMP))"
    # Where clocks are put back to midnight, there are two of that day, and duckdb finds the later one.
    earlier = f"({bound} - INTERVAL 1 HOUR)"
    return f"(CASE WHEN {_to_local_day(window, earlier)} = {day} THEN {earlier} ELSE {bound} END)"


def _local_day(window: Window, column: str, kind: contract.ColumnType) -> str:
    if kind == "date":
        return column
    if window.timezone is None:
        return f"CAST({column} AS DATE)"
    return _to_local_day(window, column)


def _to_local_day(window: Window, time: str) -> str:
    return f"CAST(timezone('{window.timezone}', timezone('UTC', {time})) AS DATE)"


def _divide(number: str, by: int) -> str:
    """Divide whole numbers, rounding down; duckdb's own division rounds towards zero."""
    return f"(({number} - (({number} % {by} + {by}) % {by})) // {by})"
