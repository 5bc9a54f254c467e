"""Values as logs keep them: of the type that their column had in training where all fit it, else of a wider one."""

import datetime
from typing import Any

import pytest

from shared import contract
from workers.prediction.logs import layouts, values

DAY = datetime.date(2026, 1, 2)
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("given", "type_", "kept", "found"),
    [
        ([1, None, "3", 4.0], "integer", [1, None, 3, 4], "integer"),
        ([1, 1.5], "integer", [1.0, 1.5], "number"),
        ([2**53 + 1, True], "integer", [2**53 + 1, 1], "integer"),
        ([1, "many"], "integer", ["1", "many"], "string"),
        ([1, "2.5", None, True], "number", [1.0, 2.5, None, 1.0], "number"),
        ([0, "True", None, True], "boolean", [False, True, None, True], "boolean"),
        ([2, True], "boolean", ["2", "true"], "string"),
        (["a", 7, None, 2.0], "string", ["a", "7", None, "2"], "string"),
        (["2026-01-02T12:00:00Z", None], "timestamp", [NOON, None], "timestamp"),
        (["2026-01-02", None], "date", [DAY, None], "date"),
        (["2026-01-02T12:00:00"], "date", ["2026-01-02T12:00:00"], "string"),
        (["soon"], "timestamp", ["soon"], "string"),
        ([["a"]], "number", ["['a']"], "string"),
        ([], "integer", [], "integer"),
        ([None, None], "boolean", [None, None], "boolean"),
    ],
)
def test_values_keep_their_columns_type_where_they_fit_it(
    given: list[Any], type_: contract.ColumnType, kept: list[Any], found: str
) -> None:
    array, actual = values.to_array(given, type_)
    assert (array.to_pylist(), actual) == (kept, found)


def test_an_input_that_is_called_as_another_column_gets_another_name() -> None:
    inputs: layouts.Columns = (("version", "number"), ("input_version", "string"), ("prediction", "string"))
    named = [name for name, _ in layouts.Layout(inputs, (("prediction", "string"),)).columns]
    assert named[len(layouts.OF_ALL) :] == ["input_version", "input_input_version", "input_prediction", "prediction"]
    assert len(set(named)) == len(named)


def test_columns_of_several_files_get_the_type_that_holds_all() -> None:
    files = [
        [("a", "integer"), ("b", "date"), ("c", "boolean")],
        [("a", "number"), ("b", "timestamp"), ("c", "string"), ("d", "date")],
    ]
    assert layouts.merge(files) == (("a", "number"), ("b", "timestamp"), ("c", "string"), ("d", "date"))
