"""Holds a table against what is expected of it, one expectation after the other."""

import datetime
import math
from collections.abc import Callable
from typing import Any, assert_never

import duckdb

from shared import contract, errors
from shared.ingestion.expectations import (
    AnyExpectation,
    Between,
    Example,
    InSet,
    Matches,
    NotNull,
    OfRows,
    Outcome,
    RowCountBetween,
    Scalar,
    Unique,
)
from workers.ingestion import selection

EXAMPLES = 5
SHOWN_CHARACTERS = 100


def check_all(rows: selection.Selection, expectations: list[AnyExpectation], *, first_new: int) -> list[Outcome]:
    """Look at each, and put rows into quarantine where that is asked; rows from `first_new` on were read just now.

    Raises BadDataError, with counts and examples, when an expectation fails that is to reject the data.
    """
    outcomes = [_check(rows, one, position, first_new) for position, one in enumerate(expectations)]
    failed = [
        describe(one, outcome)
        for one, outcome in zip(expectations, outcomes, strict=True)
        if not outcome.met and outcome.on_failure == "reject"
    ]
    if failed:
        raise errors.BadDataError(f"The data is not as expected. {' '.join(failed)}")
    return outcomes


def name_of(expectation: AnyExpectation) -> str:
    """Name an expectation in a few words."""
    columns = ", ".join(repr(column) for column in expectation.columns)
    return f"{expectation.type} of {columns}" if columns else expectation.type


def describe(expectation: AnyExpectation, outcome: Outcome) -> str:
    """Say in a sentence or two how many rows fail, and show some."""
    if isinstance(expectation, RowCountBetween):
        return f"{name_of(expectation)}: {_off_bound(expectation, outcome.rows or 0)}"
    shown = "; ".join(
        f"{'an older row' if one.row is None else f'row {one.row:,}'}: {', '.join(repr(value) for value in one.values)}"
        for one in outcome.examples
    )
    verb = "fails" if outcome.failed_rows == 1 else "fail"
    return f"{name_of(expectation)}: {count_of(outcome.failed_rows)} {verb} ({shown})."


def _off_bound(expectation: RowCountBetween, rows: int) -> str:
    is_few = expectation.min is not None and rows < expectation.min
    bound = f"at least {expectation.min:,}" if is_few else f"at most {expectation.max:,}"
    return f"the number of rows is {rows:,}; {bound} were expected."


def count_of(rows: int) -> str:
    """Say how many rows there are."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def check_patterns(expectations: list[AnyExpectation]) -> None:
    """Raise BadDataError for a regular expression that can't be used, before any data is read."""
    with duckdb.connect() as connection:
        for one in expectations:
            if isinstance(one, Matches):
                try:
                    connection.execute("SELECT regexp_full_match('', ?)", [one.pattern])
                except duckdb.Error as error:
                    raise errors.BadDataError(
                        f"{name_of(one)}: {one.pattern[:SHOWN_CHARACTERS]!r} is no regular expression of RE2: "
                        f"{str(error).partition(':')[2].strip()}"
                    ) from error


def _check(rows: selection.Selection, one: AnyExpectation, position: int, first_new: int) -> Outcome:
    if isinstance(one, RowCountBetween):
        count = rows.count()
        return _outcome(one, _off(count, one), [], rows=count)
    failed = _mark(rows, one)
    examples = rows.examples(one.columns, most=EXAMPLES) if failed else []
    if failed and one.on_failure == "quarantine":
        rows.quarantine(position)
    shown = [
        Example(row=row - first_new + 1 if row >= first_new else None, values=[show(each) for each in found])
        for row, *found in examples
    ]
    return _outcome(one, failed, shown)


def _outcome(one: AnyExpectation, failed: int, examples: list[Example], *, rows: int | None = None) -> Outcome:
    return Outcome(
        type=one.type,
        columns=one.columns,
        on_failure=one.on_failure,
        met=failed == 0,
        failed_rows=failed,
        rows=rows,
        examples=examples,
    )


def _off(count: int, one: RowCountBetween) -> int:
    least = one.min or 0
    most = count if one.max is None else one.max
    return max(least - count, count - most, 0)


def _mark(rows: selection.Selection, one: OfRows) -> int:
    """Mark the rows that fail; gives how many."""
    match one:
        case Unique():
            return rows.mark_repeated(one.columns)
        case NotNull():
            return rows.mark(f"{rows.name(one.column)} IS NULL")
        case Between():
            low, high = (_bound(rows, one, one.min, math.ceil), _bound(rows, one, one.max, math.floor))
            name = rows.name(one.column)
            tests = [f"{name} {sign} ?" for sign, value in (("<", low), (">", high)) if value is not None]
            return rows.mark(" OR ".join(tests), *(value for value in (low, high) if value is not None))
        case InSet():
            values = [_value(rows, one, value) for value in one.values]
            return rows.mark(f"{rows.name(one.column)} NOT IN (SELECT unnest(?))", values)
        case Matches():
            if rows.kind(one.column) != "string":
                raise errors.BadDataError(
                    f"{name_of(one)}: the column is of type {rows.kind(one.column)}; only text can match a pattern."
                )
            return rows.mark(f"NOT regexp_full_match({rows.name(one.column)}, ?)", one.pattern)
        case _:
            assert_never(one)


def _bound(rows: selection.Selection, one: Between, given: Any, to_whole: Callable[[float], int]) -> Any:
    """Give a bound as the column's type; a fraction bounds whole numbers by the next whole one within."""
    if rows.kind(one.column) == "integer" and isinstance(given, float):
        return to_whole(given)
    return None if given is None else _value(rows, one, given)


def _value(rows: selection.Selection, one: Between | InSet, given: Any) -> Any:
    kind = rows.kind(one.column)
    try:
        return to_type(given, kind)
    except ValueError as error:
        raise errors.BadDataError(
            f"{name_of(one)}: the column is of type {kind}, and {given!r} is not; {error}."
        ) from error


def to_type(given: Scalar, kind: contract.ColumnType) -> Any:
    """Give a value of a JSON document as a column's type; ValueError when it is none."""
    match kind:
        case "boolean" if isinstance(given, bool):
            return given
        case "integer" if isinstance(given, int) and not isinstance(given, bool):
            return given
        case "number" if isinstance(given, int | float) and not isinstance(given, bool):
            return float(given)
        case "string" if isinstance(given, str):
            return given
        case "date" if isinstance(given, str):
            return datetime.date.fromisoformat(given)
        case "timestamp" if isinstance(given, str):
            return selection.from_public(datetime.datetime.fromisoformat(given))
    raise ValueError(f"give {_FORMS[kind]}")


_FORMS: dict[contract.ColumnType, str] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "date": "a date as text, such as '2026-11-21'",
    "timestamp": "a time as text, such as '2026-11-21T09:30:00Z'",
}


def show(value: Any) -> Any:
    """Give a value as JSON, text cut."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
