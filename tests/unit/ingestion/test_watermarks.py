"""A load with a watermark loses no row: neither ties, nor rows that come late, nor those that were mended."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from shared import errors
from shared.ingestion import lags
from shared.ingestion.contract import Incremental
from tests.unit.ingestion.versions import Dataset
from workers.ingestion import base
from workers.ingestion.new_version import watermarks

pytestmark = pytest.mark.slow


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def csv(rows: str) -> str:
    """Write rows such as `1:a 2:b` as a table of the columns t and v."""
    return "t,v\n" + "".join(f"{row.replace(':', ',')}\n" for row in rows.split())


def rows_of(dataset: Dataset) -> list[str]:
    return [f"{row['t']}:{row['v']}" for row in dataset.rows]


@pytest.mark.parametrize("key", [[], ["v"]])
def test_a_row_with_the_greatest_value_that_is_new_is_loaded(dataset: Dataset, key: list[str]) -> None:
    dataset.load(csv("4:1 5:2"), watermark="t", key=key)
    made = dataset.load(csv("4:1 5:2 5:3 6:4"), watermark="t", key=key, mode="append")
    assert rows_of(dataset) == ["4:1", "5:2", "5:3", "6:4"]
    assert made is not None
    assert made.counts.model_dump() == {"read": 4, "not_new": 2, "duplicates": 0, "quarantined": 0}
    assert any("1 rows that are not above the watermark 5" in note for note in made.notes)
    assert dataset.load(csv("4:1 5:2 5:3 6:4"), watermark="t", key=key, mode="append").table is None  # type: ignore[union-attr]


def test_of_equal_rows_as_many_are_new_as_were_not_there(dataset: Dataset) -> None:
    dataset.load(csv("5:a 5:a 5:b"), watermark="t")
    dataset.load(csv("5:a 5:b 5:a 5:a 5: "), watermark="t", mode="append")
    assert rows_of(dataset) == ["5:a", "5:a", "5:b", "5:a", "5:None"]
    dataset.load(csv("5:a 5:b 5:a 5:a 5: 5: "), watermark="t", mode="append")
    assert rows_of(dataset)[5:] == ["5:None"]


def test_with_a_key_a_changed_row_replaces_the_one_before(dataset: Dataset) -> None:
    command: dict[str, Any] = {"watermark": "t", "key": ["id"], "mode": "append"}
    dataset.load("t,id,v\n4,1,a\n5,2,b\n", **command)
    dataset.load("t,id,v\n4,1,x\n5,2,c\n", **command)
    assert [(row["id"], row["v"]) for row in dataset.rows] == [(1, "a"), (2, "c")]
    command["watermark"] = {"column": "t", "lag": 1}
    dataset.load("t,id,v\n4,1,x\n5,2,c\n", **command)
    assert sorted((row["id"], row["v"]) for row in dataset.rows) == [(1, "x"), (2, "c")]


@pytest.mark.parametrize(
    ("first", "late", "lag", "loaded"),
    [
        ("100:a", "90:b 95:c 101:d", 5, ["95:c", "101:d"]),
        ("1.5:a", "0.9:b 1.25:c", 0.5, ["1.25:c"]),
        ("2025-02-05:a", "2025-02-02:b 2025-02-03:c", "2 days", ["2025-02-03:c"]),
        ("2025-02-05:a", "2025-02-03:b 2025-02-04:c", 1, ["2025-02-04:c"]),
        ("2025-02-05:a", "2025-02-03:b 2025-02-04:c", "12 h", ["2025-02-04:c"]),
    ],
)
def test_rows_that_come_late_are_loaded_within_the_lag(
    dataset: Dataset, first: str, late: str, lag: Any, loaded: list[str]
) -> None:
    dataset.load(csv(first), watermark="t")
    # Arrow reads a column of fractions and whole numbers as numbers.
    made = dataset.load(csv(f"{first} {late}"), watermark={"column": "t", "lag": lag}, mode="append")
    assert [row.replace(".0:", ":") for row in rows_of(dataset)][1:] == loaded
    assert made is not None
    assert made.counts.not_new == len(late.split()) - len(loaded) + 1
    assert any("1 more rows than the latest version has there" in note for note in made.notes)


def test_times_have_lags_too(dataset: Dataset) -> None:
    def table(*times: str) -> str:
        return "t,v\n" + "".join(f"2025-02-05T{time}Z,{time}\n" for time in times)

    dataset.load(table("12:00:00"), watermark="t")
    late = table("12:00:00", "11:29:59", "11:30:00", "12:30:00")
    dataset.load(late, watermark={"column": "t", "lag": "30 min"}, mode="append")
    assert [row["v"] for row in dataset.rows] == ["12:00:00", "11:30:00", "12:30:00"]


def test_a_version_of_new_rows_only_does_not_bring_old_ones_back(dataset: Dataset) -> None:
    source = "4:1 5:2"
    dataset.load(csv(source), watermark="t")
    for row, rows in [("6:3", ["6:3"]), ("6:4", ["6:3", "6:4"]), ("7:5", ["7:5"])]:
        source += f" {row}"
        dataset.load(csv(source), watermark="t")
        assert rows_of(dataset) == rows
        again = dataset.load(csv(source), watermark="t")
        assert again is not None
        assert again.table is None


def test_a_window_of_new_rows_only_stays_as_it_is(dataset: Dataset) -> None:
    watermark = {"column": "t", "lag": 2}
    dataset.load(csv("1:1 4:2 5:3"), watermark=watermark)
    dataset.load(csv("1:1 4:2 5:3 6:4"), watermark=watermark)
    assert rows_of(dataset) == ["4:2", "5:3", "6:4"]
    again = dataset.load(csv("1:1 4:2 5:3 6:4"), watermark=watermark)
    assert again is not None
    assert again.table is None


EXPECTED = [{"type": "between", "column": "v", "min": 0, "on_failure": "quarantine"}]


@pytest.mark.parametrize("key", [[], ["id"]])
def test_a_row_in_quarantine_is_loaded_once_it_is_mended(dataset: Dataset, key: list[str]) -> None:
    command: dict[str, Any] = {"watermark": "t", "key": key, "mode": "append", "expectations": EXPECTED}
    first = dataset.load("t,id,v\n1,1,5\n2,2,-1\n3,3,5\n", **command)
    assert first is not None
    assert first.watermark is not None
    assert (first.watermark.value, first.watermark.quarantined_from) == (3, 2)
    again = dataset.load("t,id,v\n1,1,5\n2,2,-1\n3,3,5\n", **command)
    assert again is not None
    assert again.table is None
    assert again.watermark == first.watermark
    dataset.load("t,id,v\n1,1,5\n2,2,-1\n3,3,5\n4,4,5\n", **command)
    assert [row["id"] for row in dataset.rows] == [1, 3, 4]
    assert [row["id"] for row in dataset.kept_out] == [2]
    last = dataset.load("t,id,v\n1,1,5\n2,2,6\n3,3,5\n4,4,5\n", **command)
    assert sorted((row["id"], row["v"]) for row in dataset.rows) == [(1, 5), (2, 6), (3, 5), (4, 5)]
    assert last is not None
    assert last.watermark is not None
    assert (last.watermark.value, last.watermark.quarantined_from) == (4, None)


def test_a_mended_row_of_dates_and_of_text_is_loaded_too(dataset: Dataset) -> None:
    command: dict[str, Any] = {"watermark": "t", "mode": "append", "expectations": EXPECTED}
    for values in (
        ["2025-01-01", "2025-01-02", "2025-01-03"],
        ["2025-01-01T00:00Z", "2025-01-02T00:00Z", "2025-01-03T00:00Z"],
        ["a", "b", "c"],
    ):
        other = Dataset(dataset.folder / values[0])
        other.load("t,v\n" + "".join(f"{t},{v}\n" for t, v in zip(values, (1, -1, 1), strict=True)), **command)
        other.load("t,v\n" + "".join(f"{t},{v}\n" for t, v in zip(values, (1, 2, 1), strict=True)), **command)
        assert sorted(row["v"] for row in other.rows) == [1, 1, 2]


def test_a_column_that_is_added_does_not_make_old_rows_new(dataset: Dataset) -> None:
    dataset.load(csv("4:1 5:2"), watermark="t")
    dataset.load("t,v,w\n4,1,x\n5,2,x\n6,3,x\n", watermark="t", mode="append")
    assert [(row["t"], row["w"]) for row in dataset.rows] == [(4, None), (5, None), (6, "x")]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2 days", 172_800),
        ("1d", 86_400),
        ("36 h", 129_600),
        ("90min", 5400),
        ("1.5 hours", 5400),
        ("10 s", 10),
        ("2 weeks", 1_209_600),
        ("P2D", 172_800),
        ("PT36H", 129_600),
        ("P1DT1M", 86_460),
    ],
)
def test_lengths_of_time_are_read(given: str, seconds: float) -> None:
    assert lags.parse(given).total_seconds() == seconds


@pytest.mark.parametrize("given", ["", "2", "days", "5 ms", "2 months", "-1 day", "P", "PT", "P1Y", "1e9 days"])
def test_what_is_no_length_of_time_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is no length of time; write it like '2 days'"):
        lags.parse(given)


@pytest.mark.parametrize(
    ("greatest", "lag", "expected"),
    [
        ("2025-02-05", "2 days", "2025-02-03"),
        ("2025-02-05T10:00:00Z", "1 h", "2025-02-05T09:00:00Z"),
        ("2025-02-05 10:00", "1 h", "2025-02-05 09:00"),
        ("2025-02-05 10:00:00.250", "1 s", "2025-02-05 09:59:59.250"),
        ("2025-02-05T10:00:00.000001+02:00", 60, "2025-02-05T09:59:00.000001+02:00"),
        (datetime.date(1, 1, 2), "9 weeks", datetime.date(1, 1, 1)),
        (10, 3, 7),
        (1.5, 0.5, 1.0),
        (6249.35, 0.1, 6249.25),
        (2**63 - 1, 1, 2**63 - 2),
    ],
)
def test_a_lag_is_subtracted_in_the_form_of_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, greatest: Any, lag: Any, expected: Any
) -> None:
    monkeypatch.setattr(base, "find_greatest", lambda *_, **__: greatest)
    watermark = Incremental.model_validate({"column": "t", "lag": lag})
    start = watermarks.find_start(tmp_path, columns=[], lineage={}, watermark=watermark)
    assert start is not None
    assert (start.greatest, start.value) == (greatest, expected)


@pytest.mark.parametrize(("table", "lag"), [("t,v\nx,1\n", "1 day"), ("t,v\n1,1\n", "1 day")])
def test_a_lag_that_the_column_cannot_have_is_refused(dataset: Dataset, table: str, lag: Any) -> None:
    dataset.load(table, watermark="t")
    with pytest.raises(errors.BadDataError, match="The `lag` of the watermark is '1 day', but 't' holds"):
        dataset.load(table, watermark={"column": "t", "lag": lag}, mode="append")
