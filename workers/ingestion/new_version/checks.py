"""Checks a table against its expectations, one after the other."""

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
    Outcome,
    RowCountBetween,
    RowExpectation,
    Scalar,
    Unique,
)
from workers.ingestion.new_version import selection

MAX_EXAMPLES = 5
SHOWN_CHARACTERS = 100


def check_all(rows: selection.Selection, expectations: list[AnyExpectation], *, first_new: int) -> list[Outcome]:
    """Check each expectation, and quarantine rows where it says so; rows from `first_new` on are from the new data.

    Raises BadDataError, with counts and examples, when an expectation that rejects the data is not met.
    """
    outcomes = [
        _check_expectation(rows, expectation, position, first_new) for position, expectation in enumerate(expectations)
    ]
    failed = [
        describe(expectation, outcome)
        for expectation, outcome in zip(expectations, outcomes, strict=True)
        if not outcome.met and outcome.on_failure == "reject"
    ]
    if failed:
        raise errors.BadDataError(f"The data does not meet its expectations. {' '.join(failed)}")
    return outcomes


def label(expectation: AnyExpectation) -> str:
    """Return a short name for an expectation: its type and columns."""
    columns = ", ".join(repr(column) for column in expectation.columns)
    return f"{expectation.type} of {columns}" if columns else expectation.type


def describe(expectation: AnyExpectation, outcome: Outcome) -> str:
    """Describe in a sentence or two how many rows fail, and show some."""
    if isinstance(expectation, RowCountBetween):
        return f"{label(expectation)}: {_describe_row_count(expectation, outcome.rows or 0)}"
    examples = "; ".join(
        f"{'an older row' if row.row is None else f'row {row.row:,}'}: {', '.join(repr(value) for value in row.values)}"
        for row in outcome.examples
    )
    verb = "fails" if outcome.failed_rows == 1 else "fail"
    return f"{label(expectation)}: {format_rows(outcome.failed_rows)} {verb} ({examples})."


def _describe_row_count(expectation: RowCountBetween, rows: int) -> str:
    is_too_few = expectation.min is not None and rows < expectation.min
    bound = f"at least {expectation.min:,}" if is_too_few else f"at most {expectation.max:,}"
    return f"the number of rows is {rows:,}; {bound} were expected."


def format_rows(rows: int) -> str:
    """Format a number of rows with its noun."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def check_patterns(expectations: list[AnyExpectation]) -> None:
    """Raise BadDataError for an invalid regular expression, before any data is read."""
    with duckdb.connect() as connection:
        for expectation in expectations:
            if isinstance(expectation, Matches):
                try:
                    connection.execute("SELECT regexp_full_match('', ?)", [expectation.pattern])
                except duckdb.Error as error:
                    raise errors.BadDataError(
                        f"{label(expectation)}: {expectation.pattern[:SHOWN_CHARACTERS]!r} is not a regular expression "
                        "of RE2: "
                        f"{str(error).partition(':')[2].strip()}"
                    ) from error


def _check_expectation(
    rows: selection.Selection, expectation: AnyExpectation, position: int, first_new: int
) -> Outcome:
    if isinstance(expectation, RowCountBetween):
        count = rows.count()
        return _build_outcome(expectation, _count_deviation(count, expectation), [], rows=count)
    failed = _mark(rows, expectation)
    failing = rows.read_failing(expectation.columns, limit=MAX_EXAMPLES) if failed else []
    if failed and expectation.on_failure == "quarantine":
        rows.quarantine(position)
    examples = [
        Example(
            row=number - first_new + 1 if number >= first_new else None,
            values=[to_json_value(value) for value in values],
        )
        for number, *values in failing
    ]
    return _build_outcome(expectation, failed, examples)


def _build_outcome(
    expectation: AnyExpectation, failed: int, examples: list[Example], *, rows: int | None = None
) -> Outcome:
    return Outcome(
        type=expectation.type,
        columns=expectation.columns,
        on_failure=expectation.on_failure,
        met=failed == 0,
        failed_rows=failed,
        rows=rows,
        examples=examples,
    )


def _count_deviation(count: int, expectation: RowCountBetween) -> int:
    minimum = expectation.min or 0
    maximum = count if expectation.max is None else expectation.max
    return max(minimum - count, count - maximum, 0)


def _mark(rows: selection.Selection, expectation: RowExpectation) -> int:
    """Mark the rows that fail; return their number."""
    match expectation:
        case Unique():
            return rows.mark_duplicates(expectation.columns)
        case NotNull():
            return rows.mark_failing(f"{rows.sql_name(expectation.column)} IS NULL")
        case Between():
            low, high = (
                _convert_bound(rows, expectation, expectation.min, math.ceil),
                _convert_bound(rows, expectation, expectation.max, math.floor),
            )
            name = rows.sql_name(expectation.column)
            conditions = [f"{name} {sign} ?" for sign, value in (("<", low), (">", high)) if value is not None]
            return rows.mark_failing(" OR ".join(conditions), *(value for value in (low, high) if value is not None))
        case InSet():
            values = [_to_column_type(rows, expectation, value) for value in expectation.values]
            return rows.mark_failing(f"{rows.sql_name(expectation.column)} NOT IN (SELECT unnest(?))", values)
        case Matches():
            if rows.column_type(expectation.column) != "string":
                raise errors.BadDataError(
                    f"{label(expectation)}: the column is of type {rows.column_type(expectation.column)}; "
                    "only text can match a pattern."
                )
            return rows.mark_failing(
                f"NOT regexp_full_match({rows.sql_name(expectation.column)}, ?)", expectation.pattern
            )
        case _:
            assert_never(expectation)


def _convert_bound(
    rows: selection.Selection, expectation: Between, bound: Any, to_whole: Callable[[float], int]
) -> Any:
    """Convert a bound to the column's type; for whole numbers, a fraction is rounded to the next one within."""
    if rows.column_type(expectation.column) == "integer" and isinstance(bound, float):
        return to_whole(bound)
    return None if bound is None else _to_column_type(rows, expectation, bound)


def _to_column_type(rows: selection.Selection, expectation: Between | InSet, value: Any) -> Any:
    column_type = rows.column_type(expectation.column)
    try:
        return to_column_type(value, column_type)
    except ValueError as error:
        raise errors.BadDataError(
            f"{label(expectation)}: the column is of type {column_type}, and {value!r} is not; {error}."
        ) from error


def to_column_type(value: Scalar, column_type: contract.ColumnType) -> Any:
    """Convert a value of a JSON document to a column's type; ValueError when it does not fit."""
    match column_type:
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case "string" if isinstance(value, str):
            return value
        case "date" if isinstance(value, str):
            return datetime.date.fromisoformat(value)
        case "timestamp" if isinstance(value, str):
            return selection.to_engine(datetime.datetime.fromisoformat(value))
    raise ValueError(f"give {_EXPECTED_FORMS[column_type]}")


_EXPECTED_FORMS: dict[contract.ColumnType, str] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "date": "a date as text, such as '2026-11-21'",
    "timestamp": "a time as text, such as '2026-11-21T09:30:00Z'",
}


def to_json_value(value: Any) -> Any:
    """Convert a value to JSON; long text is cut."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) else value
