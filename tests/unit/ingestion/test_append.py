"""Rows are appended without any value being lost, changed or read as another type."""

from pathlib import Path

import pytest

from shared import errors
from tests.unit.ingestion.versions import Dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def test_appended_rows_come_after_those_before(dataset: Dataset) -> None:
    dataset.load("a,b\n1,x\n2,y\n")
    dataset.load("a,b\n3,z\n", mode="append")
    assert dataset.rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]


def test_the_first_append_makes_the_first_version(dataset: Dataset) -> None:
    dataset.load("a,b\n1,x\n", mode="append")
    assert dataset.rows == [{"a": 1, "b": "x"}]


def test_many_appended_rows_keep_their_order(dataset: Dataset) -> None:
    dataset.load("a,b\n" + "".join(f"{row},x\n" for row in range(70_000)))
    dataset.load("a,b\n" + "".join(f"{row},y\n" for row in range(70_000, 140_001)), mode="append")
    assert [row["a"] for row in dataset.rows] == list(range(140_001))


def test_whole_numbers_become_numbers_beside_fractions(dataset: Dataset) -> None:
    dataset.load("a,b\n1,1\n")
    made = dataset.load("a,b\n1.5,2\n", mode="append")
    assert dataset.rows == [{"a": 1.0, "b": 1}, {"a": 1.5, "b": 2}]
    assert made is not None
    assert made.schema_changes is not None
    assert [one.model_dump() for one in made.schema_changes.retyped] == [
        {"name": "a", "before": "integer", "now": "number"}
    ]


def test_whole_numbers_are_taken_into_a_column_of_numbers(dataset: Dataset) -> None:
    dataset.load("a,b\n1.5,1\n")
    made = dataset.load("a,b\n2,2\n", mode="append")
    assert [row["a"] for row in dataset.rows] == [1.5, 2.0]
    assert made is not None
    assert made.schema_changes is not None
    assert made.schema_changes.retyped == []


def test_a_whole_number_that_a_number_cannot_hold_is_refused(dataset: Dataset) -> None:
    dataset.load("a,b\n9007199254740993,1\n")
    with pytest.raises(errors.BadDataError, match="beyond 2\\^53"):
        dataset.load("a,b\n1.5,2\n", mode="append")


@pytest.mark.parametrize(("before", "after"), [("1", "x"), ("2026-01-01", "x"), ("true", "1"), ("99999", "01234")])
def test_a_column_is_never_read_as_another_type_in_silence(dataset: Dataset, before: str, after: str) -> None:
    dataset.load(f"a,b\n{before},1\n")
    with pytest.raises(
        errors.BadDataError, match=r"can't be appended .* column 'a' is .* with mode 'replace'"
    ) as caught:
        dataset.load(f"a,b\n{after},1\n", mode="append")
    assert "Set the type" not in caught.value.message


def test_the_refusal_says_which_value_made_text_of_a_column(dataset: Dataset) -> None:
    dataset.load("a,b\n1,1\n")
    with pytest.raises(errors.BadDataError, match="row 20 holds 'x'"):
        dataset.load("a,b\n" + "1,1\n" * 19 + "x,1\n", mode="append")


def test_text_stays_text_although_its_new_values_look_like_numbers(dataset: Dataset) -> None:
    dataset.load("zip,b\n00123,1\n")
    dataset.load("zip,b\n12345,1\n", mode="append")
    assert [row["zip"] for row in dataset.rows] == ["00123", "12345"]


def test_a_number_of_json_is_not_made_text(dataset: Dataset) -> None:
    dataset.load('[{"a": "x"}]', format="json")
    with pytest.raises(errors.BadDataError, match="column 'a' is string in that version and integer in the new data"):
        dataset.load('[{"a": 5}]', format="json", mode="append")
    dataset.load('[{"a": 5}]', format="json", mode="append", types={"a": "string"})
    assert [row["a"] for row in dataset.rows] == ["x", "5"]


def test_text_of_json_stays_text_although_it_looks_like_a_date(dataset: Dataset) -> None:
    dataset.load('[{"a": "x"}]', format="json")
    dataset.load('[{"a": "2026-01-01"}]', format="json", mode="append")
    assert [row["a"] for row in dataset.rows] == ["x", "2026-01-01"]


def test_dates_are_taken_into_a_column_of_times(dataset: Dataset) -> None:
    dataset.load("t,b\n2026-01-01T09:30:00Z,1\n")
    dataset.load("t,b\n2026-01-02,1\n", mode="append")
    assert [row["t"].isoformat() for row in dataset.rows] == ["2026-01-01T09:30:00+00:00", "2026-01-02T00:00:00+00:00"]


def test_a_column_of_dates_becomes_one_of_times(dataset: Dataset) -> None:
    dataset.load("t,b\n2026-01-01,1\n,2\n")
    made = dataset.load("t,b\n2026-01-02T10:00:00Z,1\n", mode="append")
    assert [row["t"] and row["t"].isoformat() for row in dataset.rows] == [
        "2026-01-01T00:00:00+00:00",
        None,
        "2026-01-02T10:00:00+00:00",
    ]
    assert dataset.types["t"] == "timestamp"
    assert made is not None
    assert made.schema_changes is not None
    assert [(one.before, one.now) for one in made.schema_changes.retyped] == [("date", "timestamp")]


@pytest.mark.parametrize(("before", "after", "values"), [("", "1", [None, 1]), ("1", "", [1, None])])
def test_a_column_without_values_takes_any_type(dataset: Dataset, before: str, after: str, values: list[int]) -> None:
    dataset.load(f"a,b\n{before},1\n")
    dataset.load(f"a,b\n{after},1\n", mode="append")
    assert [row["a"] for row in dataset.rows] == values
    assert dataset.types["a"] == "integer"


def test_added_and_gone_columns_are_filled_with_missing_values_and_reported(dataset: Dataset) -> None:
    dataset.load("a,b\n1,x\n")
    made = dataset.load("c,a\ntrue,2\n", mode="append")
    assert dataset.rows == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": True}]
    assert made is not None
    assert made.schema_changes is not None
    assert made.schema_changes.model_dump() == {"against": 1, "added": ["c"], "gone": ["b"], "retyped": []}


def test_names_that_differ_in_case_only_are_two_columns(dataset: Dataset) -> None:
    dataset.load("a,A,row\n1,x,5\n", key=["a", "A", "row"])
    dataset.load("a,A,row\n1,X,5\n", mode="append", key=["a", "A", "row"])
    assert dataset.rows == [{"a": 1, "A": "x", "row": 5}, {"a": 1, "A": "X", "row": 5}]


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_schema_change_fails_the_job_when_it_is_to(dataset: Dataset, mode: str) -> None:
    dataset.load("a,b,c\n1,x,1\n")
    dataset.load("a,b,c\n1,x,2\n", mode=mode, on_schema_change="fail")
    with pytest.raises(errors.BadDataError, match=r"d@2 \(added: d; gone: b; retyped: 'c' from integer to number\)"):
        dataset.load("a,c,d\n1,1.5,x\n", mode=mode, on_schema_change="fail")


def test_a_replaced_version_reports_what_changed(dataset: Dataset) -> None:
    dataset.load("a,b\n1,x\n")
    made = dataset.load("a,b\nx,x\n")
    assert made is not None
    assert made.schema_changes is not None
    assert [(one.name, one.before, one.now) for one in made.schema_changes.retyped] == [("a", "integer", "string")]
    assert dataset.rows == [{"a": "x", "b": "x"}]
