"""Rows are chosen as asked: one for each key, those above the watermark, and as they are expected to be."""

import random
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic
import pytest

from shared import errors
from shared.ingestion import expectations as expected
from tests.unit.ingestion.versions import Dataset
from workers.ingestion.new_version import checks, selection
from workers.tabular import engine

pytestmark = pytest.mark.slow


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def outcome(dataset: Dataset, position: int = 0) -> dict[str, Any]:
    assert dataset.last is not None
    return dataset.last.outcomes[position].model_dump()


@pytest.mark.parametrize("keep", ["first", "last"])
def test_one_row_of_each_key_is_kept_as_pandas_would(dataset: Dataset, keep: Any) -> None:
    dice = random.Random(3)
    frame = pd.DataFrame(
        {
            "k": [dice.randrange(500) for _ in range(40_000)],
            "j": [dice.choice("abc") for _ in range(40_000)],
            "n": range(40_000),
        }
    )
    dataset.load(frame[:25_000].to_csv(index=False), key=["k", "j"], keep=keep)
    made = dataset.load(frame[25_000:].to_csv(index=False), mode="append", key=["k", "j"], keep=keep)
    expected = frame[:25_000].drop_duplicates(["k", "j"], keep=keep)
    whole = pd.concat([expected, frame[25_000:]])
    expected = whole.drop_duplicates(["k", "j"], keep=keep)
    assert dataset.rows == expected.to_dict("records")
    assert made is not None
    assert made.counts.duplicates == len(whole) - len(expected)
    assert made.counts.read == 15_000


def test_new_rows_win_over_old_ones(dataset: Dataset) -> None:
    dataset.load("id,v\n1,old\n2,old\n")
    dataset.load("id,v\n2,new\n3,new\n", mode="append", key=["id"])
    assert dataset.rows == [{"id": 1, "v": "old"}, {"id": 2, "v": "new"}, {"id": 3, "v": "new"}]


def test_rows_that_lack_a_part_of_the_key_are_all_kept(dataset: Dataset) -> None:
    made = dataset.load("id,v\n1,a\n,b\n,c\n1,d\n", key=["id"])
    assert [row["v"] for row in dataset.rows] == ["b", "c", "d"]
    assert made is not None
    assert "2 rows have no value in a column of the key; all of them were kept." in made.notes


def test_a_table_without_duplicates_is_stored_as_it_was_read(dataset: Dataset) -> None:
    dataset.load("id,v\n1,a\n2,b\n", key=["id"], expectations=[{"type": "not_null", "column": "v"}])
    assert dataset.rows == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    assert outcome(dataset)["met"] is True


@pytest.mark.parametrize(
    "asked",
    [
        {"key": ["idd"]},
        {"watermark": {"column": "idd"}},
        {"expectations": [{"type": "unique", "columns": ["id", "idd"]}]},
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_closest(dataset: Dataset, asked: dict[str, Any]) -> None:
    with pytest.raises(errors.BadDataError, match=r"column 'idd' .*did you mean 'id'"):
        dataset.load("id,v\n1,a\n", **asked)


@pytest.mark.parametrize(
    ("old", "new", "left", "value"),
    [
        (["1", "3"], ["2", "3", "4", "5"], ["4", "5"], 5),
        (["1.5"], ["2", "1.5"], ["2"], 2.0),
        (["2026-01-02"], ["2026-01-02", "2026-01-03"], ["2026-01-03"], "2026-01-03"),
        (
            ["2026-01-01T10:00:00+02:00"],
            ["2026-01-01T08:00:00Z", "2026-01-01T08:00:00.000001Z"],
            ["2026-01-01T08:00:00.000001Z"],
            "2026-01-01T08:00:00.000001Z",
        ),
        (["b"], ["a", "b", "c"], ["c"], "c"),
    ],
)
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_only_rows_above_the_watermark_are_loaded(
    dataset: Dataset, mode: str, old: list[str], new: list[str], left: list[str], value: Any
) -> None:
    # The same time in another zone is the same row.
    v = [one.replace("10:00:00+02:00", "08:00:00Z") for one in old]
    dataset.load("t,v\n" + "".join(f"{one},{text}!\n" for one, text in zip(old, v, strict=True)), watermark="t")
    made = dataset.load("t,v\n" + "".join(f"{one},{one}!\n" for one in new), mode=mode, watermark={"column": "t"})
    assert made is not None
    assert [row["v"] for row in dataset.rows[len(old) if mode == "append" else 0 :]] == [f"{one}!" for one in left]
    assert made.watermark is not None
    assert made.watermark.value == value
    assert made.counts.not_new == len(new) - len(left)


def test_nothing_new_makes_no_version_and_says_what_was_left_out(dataset: Dataset) -> None:
    dataset.load("t,v\n5,a\n")
    made = dataset.load("t,v\n4,b\n5,a\n,d\n", mode="append", watermark={"column": "t"})
    assert made is not None
    assert (made.table, made.counts.read, made.counts.not_new) == (None, 3, 3)
    assert any("1 rows have no value in 't'" in note for note in made.notes)
    assert dataset.load("t,v\n", mode="append", watermark={"column": "t"}) is None


def test_rows_that_all_lack_their_watermark_are_counted_and_noted(dataset: Dataset) -> None:
    dataset.load("t,v\n5,a\n")
    expectations = [{"type": "not_null", "column": "t"}]
    made = dataset.load("t,v\n,b\n,c\n", mode="append", watermark={"column": "t"}, expectations=expectations)
    assert made is not None
    assert (made.table, made.counts.not_new) == (None, 2)
    assert any("2 rows have no value in 't'" in note for note in made.notes)


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_watermark_that_is_gone_from_the_data_fails_the_load(dataset: Dataset, mode: str) -> None:
    dataset.load("t,v\n5,a\n", watermark={"column": "t"})
    with pytest.raises(errors.BadDataError, match=r"`watermark` names columns that the table does not have: .*'t'"):
        dataset.load("T,v\n6,b\n", mode=mode, watermark={"column": "t"})


@pytest.mark.parametrize("data", ["t,v\ntrue,b\n", "t,v\n"], ids=["rows", "no row"])
def test_a_watermark_that_is_true_or_false_is_refused(dataset: Dataset, data: str) -> None:
    dataset.load("t,v\nfalse,a\n")
    with pytest.raises(errors.BadDataError, match="'t' is of type boolean, which cannot grow"):
        dataset.load(data, mode="append", watermark={"column": "t"})


def test_a_first_watermark_that_is_true_or_false_is_refused(dataset: Dataset) -> None:
    with pytest.raises(errors.BadDataError, match="'t' is of type boolean, which cannot grow"):
        dataset.load("t,v\nfalse,a\n", watermark={"column": "t"})


def test_an_empty_table_is_no_dataset_to_begin_with(dataset: Dataset) -> None:
    with pytest.raises(errors.BadDataError, match="no rows") as raised:
        dataset.load("t,v\n", watermark={"column": "t"})
    assert type(raised.value) is errors.BadDataError


def test_rows_without_a_watermark_are_left_out_and_counted(dataset: Dataset) -> None:
    dataset.load("t,v\n5,a\n,b\n", watermark={"column": "t"})
    made = dataset.load("t,v\n,c\n6,d\n", mode="append", watermark={"column": "t"})
    assert [row["v"] for row in dataset.rows] == ["a", "b", "d"]
    assert made is not None
    assert any("1 rows have no value in 't'" in note for note in made.notes)


def test_a_watermark_of_another_type_is_refused(dataset: Dataset) -> None:
    dataset.load("t,v\n2026-01-01,a\n", watermark={"column": "t"})
    with pytest.raises(errors.BadDataError, match="'t' was of type date and is now of type string"):
        dataset.load("t,v\nx,a\n", watermark={"column": "t"})


TABLE = "id,age,state,code,day\n1,20,ok,A1,2026-01-01\n2,,bad,B,2026-02-01\n2,200,ok,C3,\n4,30,,,2026-03-01\n"


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"type": "not_null", "column": "age"}, [2]),
        ({"type": "unique", "columns": ["id"]}, [3]),
        ({"type": "unique", "columns": ["id", "state"]}, []),
        ({"type": "between", "column": "age", "min": 25, "max": 100}, [1, 3]),
        ({"type": "between", "column": "age", "max": 199.5}, [3]),
        ({"type": "between", "column": "day", "min": "2026-01-15"}, [1]),
        ({"type": "between", "column": "state", "min": "c"}, [2]),
        ({"type": "in_set", "column": "state", "values": ["ok"]}, [2]),
        ({"type": "in_set", "column": "id", "values": [1, 2]}, [4]),
        ({"type": "in_set", "column": "day", "values": ["2026-01-01", "2026-03-01"]}, [2]),
        ({"type": "matches", "column": "code", "pattern": "[A-Z][0-9]"}, [2]),
    ],
)
def test_each_expectation_finds_the_rows_that_fail(dataset: Dataset, asked: dict[str, Any], rows: list[int]) -> None:
    dataset.load(TABLE, expectations=[{**asked, "on_failure": "warn"}])
    found = outcome(dataset)
    assert [one["row"] for one in found["examples"]] == rows
    assert (found["failed_rows"], found["met"]) == (len(rows), not rows)
    assert len(dataset.rows) == 4
    if rows:
        dataset.load(TABLE, expectations=[{**asked, "on_failure": "quarantine"}])
        assert len(dataset.kept_out) == len(rows)
        with pytest.raises(errors.BadDataError, match=rf"{len(rows)} rows? fails? \(row {rows[0]}: "):
            dataset.load(TABLE, expectations=[asked])


def test_rows_in_quarantine_are_stored_with_what_they_fail(dataset: Dataset) -> None:
    expectations = [
        {"type": "not_null", "column": "age", "on_failure": "quarantine"},
        {"type": "unique", "columns": ["id"], "on_failure": "quarantine"},
        {"type": "between", "column": "age", "max": 100, "on_failure": "quarantine"},
        {"type": "row_count_between", "min": 2, "max": 2},
    ]
    made = dataset.load(TABLE, expectations=expectations)
    assert [row["id"] for row in dataset.rows] == [1, 4]
    assert [(row["id"], row["age"], row["failed_expectation"]) for row in dataset.kept_out] == [
        (2, None, "not_null of 'age'"),
        (2, 200, "between of 'age'"),
    ]
    # The row that was put away first is not there any more to be the first with its id.
    assert [outcome(dataset, position)["failed_rows"] for position in range(4)] == [1, 0, 1, 0]
    assert made is not None
    assert made.counts.quarantined == 2
    assert made.quarantine is not None
    assert made.quarantine.profile[-1]["name"] == "failed_expectation"


def test_the_reason_has_a_name_of_its_own(dataset: Dataset) -> None:
    dataset.load(
        "failed_expectation,b\nx,1\n,2\n",
        expectations=[{"type": "not_null", "column": "failed_expectation", "on_failure": "quarantine"}],
    )
    assert dataset.kept_out == [
        {"failed_expectation": None, "b": 2, "failed_expectation_2": "not_null of 'failed_expectation'"}
    ]


def test_a_version_needs_a_row_that_is_as_expected(dataset: Dataset) -> None:
    with pytest.raises(errors.BadDataError, match="No row is left"):
        dataset.load(
            "a,b\n1,2\n", expectations=[{"type": "between", "column": "a", "min": 5, "on_failure": "quarantine"}]
        )


def test_all_that_reject_are_said_at_once(dataset: Dataset) -> None:
    with pytest.raises(errors.BadDataError, match=r"not_null of 'age'.*1 row fails .*at least 10 were expected"):
        dataset.load(
            TABLE, expectations=[{"type": "not_null", "column": "age"}, {"type": "row_count_between", "min": 10}]
        )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"min": 5}, "row_count_between: the number of rows is 4; at least 5 were expected."),
        ({"min": 1, "max": 3}, "row_count_between: the number of rows is 4; at most 3 were expected."),
    ],
)
def test_a_number_of_rows_that_is_off_is_said_beside_its_bound(
    dataset: Dataset, asked: dict[str, int], said: str
) -> None:
    made = dataset.load(TABLE, expectations=[{"type": "row_count_between", "on_failure": "warn", **asked}])
    assert made is not None
    assert f"{said} This was only noted." in made.notes
    assert outcome(dataset)["rows"] == 4


@pytest.mark.parametrize(("limit", "said"), [(100, "1 row was put"), (20, "2 rows were put")])
def test_a_note_counts_the_rows_in_quarantine(dataset: Dataset, limit: int, said: str) -> None:
    asked = {"type": "between", "column": "a", "max": limit, "on_failure": "quarantine"}
    made = dataset.load("a,b\n10,x\n90,y\n200,z\n", expectations=[asked])
    assert made is not None
    assert any(note.endswith(f"{said} into quarantine.") for note in made.notes), made.notes


@pytest.mark.parametrize(
    "bounds",
    [
        {"min": 2, "max": 1},
        {"min": "b", "max": "a"},
        {"min": "2026-02-01", "max": "2026-01-01"},
        {"min": 1, "max": "2"},
    ],
)
def test_bounds_between_which_nothing_lies_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError, match=r"min .* max"):
        expected.Between.model_validate({"type": "between", "column": "a", **bounds})


@pytest.mark.parametrize(
    "bounds",
    [
        {"min": 1, "max": 1.0},
        {"min": "2026-01-01T12:00:00+05:00", "max": "2026-01-01T10:00:00Z"},
        {"min": "20260101", "max": "2026-01-02"},
        {"min": "a", "max": "b"},
    ],
)
def test_bounds_are_compared_as_what_they_may_mean(bounds: dict[str, Any]) -> None:
    expected.Between.model_validate({"type": "between", "column": "a", **bounds})


def test_appended_rows_are_checked_together_with_those_before(dataset: Dataset) -> None:
    dataset.load("id,v\n1,a\n2,b\n")
    made = dataset.load(
        "id,v\n3,c\n2,d\n", mode="append", expectations=[{"type": "unique", "columns": ["id"], "on_failure": "warn"}]
    )
    assert made is not None
    assert outcome(dataset)["examples"] == [{"row": 2, "values": [2]}]
    assert any("unique of 'id': 1 row fails" in note for note in made.notes)


def test_old_rows_can_fail_too_and_have_no_number(dataset: Dataset) -> None:
    dataset.load("id,v\n1,\n2,b\n")
    dataset.load(
        "id,v\n3,c\n", mode="append", expectations=[{"type": "not_null", "column": "v", "on_failure": "quarantine"}]
    )
    assert outcome(dataset)["examples"] == [{"row": None, "values": [None]}]
    assert [row["id"] for row in dataset.rows] == [2, 3]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"type": "between", "column": "age", "min": "x"}, "the column is of type integer, and 'x' is not"),
        ({"type": "between", "column": "day", "min": "soon"}, "'soon' is not"),
        ({"type": "in_set", "column": "id", "values": [True]}, "True is not; give a whole number"),
        ({"type": "matches", "column": "age", "pattern": "."}, "only text can match"),
    ],
)
def test_an_expectation_that_does_not_suit_its_column_is_refused(
    dataset: Dataset, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(errors.BadDataError, match=reason):
        dataset.load(TABLE, expectations=[asked])


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "(a{1000}){1000}"])
def test_a_pattern_that_is_not_of_re2_is_refused_before_data_is_read(pattern: str) -> None:
    from shared.ingestion.expectations import Matches

    with pytest.raises(errors.BadDataError, match="is not a regular expression of RE2"):
        checks.check_patterns([Matches(type="matches", column="a", pattern=pattern)])


def test_a_pattern_that_is_slow_elsewhere_is_fast_here(dataset: Dataset) -> None:
    started = time.process_time()
    dataset.load(
        "a,b\n" + ("a" * 5000 + "!,1\n") * 20,
        expectations=[{"type": "matches", "column": "a", "pattern": "(a+)+$", "on_failure": "warn"}],
    )
    assert outcome(dataset)["failed_rows"] == 20
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "hostile", ["x'); DROP TABLE data; --", "\"; COPY data TO '/tmp/x'; --", "c0", "row", "a\x01b"]
)
def test_names_and_values_of_a_user_are_never_part_of_a_statement(dataset: Dataset, hostile: str) -> None:
    quoted = '"' + hostile.replace('"', '""') + '"'
    dataset.load(
        f"{quoted},v\n{quoted},1\nother,2\n",
        key=[hostile],
        watermark={"column": hostile},
        expectations=[
            {"type": "in_set", "column": hostile, "values": [hostile], "on_failure": "quarantine"},
            {"type": "between", "column": hostile, "min": hostile},
            {"type": "matches", "column": hostile, "pattern": ".*"},
        ],
    )
    assert dataset.rows == [{hostile: hostile, "v": 1}]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY data TO '{canary}'",
        "ATTACH '{canary}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM canary",
    ],
)
def test_the_engine_reaches_nothing_even_for_a_statement_of_an_attacker(tmp_path: Path, statement: str) -> None:
    import duckdb

    canary = pd.DataFrame({"a": [1]})
    with engine.open_database(tmp_path, threads=1) as connection:
        selection.Selection(connection, columns=[])
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(canary=tmp_path / "out")).fetchall()
    assert not (tmp_path / "out").exists()
    assert len(canary) == 1
