"""Parts follow each other in time, equal times stay together, and rows without a time are refused."""

import datetime

import pyarrow as pa
import pytest

from shared import errors
from tests.unit.processing.splits.conftest import SplitTable

DAY = datetime.date(2024, 1, 1)


def _days(*numbers: int) -> list[datetime.date]:
    return [DAY + datetime.timedelta(days=number) for number in numbers]


def test_the_first_part_is_the_earliest_in_the_order_of_the_request(split: SplitTable) -> None:
    numbers = [7, 2, 9, 0, 4, 1, 8, 3, 6, 5]
    parts = split({"t": numbers}, {"old": 0.5, "mid": 0.3, "new": 0.2}, time="t")
    assert parts.values("t") == {"old": [2, 0, 4, 1, 3], "mid": [7, 6, 5], "new": [9, 8]}
    assert parts.split.notes == ["By 't': old from 0 to 4; mid from 5 to 7; new from 8 to 9."]


def test_equal_times_are_never_separated_and_the_nearest_change_is_taken(split: SplitTable) -> None:
    parts = split({"t": _days(0, 0, 0, 1, 1, 1, 1, 1, 2, 2)}, {"a": 0.5, "b": 0.5}, time="t")
    assert parts.values("t") == {"a": _days(0, 0, 0), "b": _days(1, 1, 1, 1, 1, 2, 2)}
    assert parts.split.notes == [
        "By 't': a from 2024-01-01 to 2024-01-01; b from 2024-01-02 to 2024-01-03.",
        (
            "Rows that belong together don't divide by these shares: 'a' has 30.0% of the rows instead of 50.0%; "
            "'b' has 70.0% of the rows instead of 50.0%."
        ),
    ]


def test_no_part_is_empty_while_there_are_as_many_times_as_parts(split: SplitTable) -> None:
    parts = split({"t": _days(*[0] * 50, 1, 2)}, {"a": 0.4, "b": 0.3, "c": 0.3}, time="t")
    assert parts.rows == {"a": 50, "b": 1, "c": 1}
    parts = split({"t": _days(0, 1, *[2] * 50)}, {"a": 0.4, "b": 0.3, "c": 0.3}, time="t")
    assert parts.rows == {"a": 1, "b": 1, "c": 50}


def test_times_are_compared_to_the_microsecond_and_numbers_exactly(split: SplitTable) -> None:
    first = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    times = [first + datetime.timedelta(microseconds=number) for number in range(10)]
    column = pa.array(times[::-1], pa.timestamp("us", tz="UTC"))
    parts = split({"t": column}, time="t")
    assert parts.values("t")["test"] == times[:7:-1]
    assert "test from 2024-01-01T12:00:00.000008Z to 2024-01-01T12:00:00.000009Z." in parts.split.notes[0]
    assert split({"t": [2**53 + number for number in range(10)]}, time="t").rows == {"train": 8, "test": 2}


def test_rows_without_a_time_are_refused_by_count_and_row(split: SplitTable) -> None:
    with pytest.raises(errors.BadDataError, match=r"'t' is missing in 2 of 5 rows \(first in row 3\)") as refused:
        split({"t": [1, 2, None, 4, None]}, time="t")
    assert refused.value.pointer == "#/params/by/time"


def test_text_and_too_few_times_are_refused(split: SplitTable) -> None:
    with pytest.raises(errors.BadDataError, match="is text, which has no order in time"):
        split({"t": ["2024-01-01", "2024-01-02"]}, time="t")
    with pytest.raises(errors.BadDataError, match="'t' has 1 different time, too few for 2 parts"):
        split({"t": _days(0, 0, 0)}, time="t")
