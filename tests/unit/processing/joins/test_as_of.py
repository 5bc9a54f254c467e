"""Joins as of a time: each left row gets the last right row that was known at its time, and never a later one."""

import datetime
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.processing.joins import cases

SECOND = 1_000_000
DAY = 86_400 * SECOND


def _at(*times: int | None) -> tuple[Any, list[int | None]]:
    return "timestamp", list(times)


def _join(folder: Path, left: Any, right: Any, **as_of: Any) -> tuple[list[Any], Any]:
    """Join by `k` as of `at` and `since`, and return the values of `v`."""
    rows, joined = cases.run(folder, left, right, on=["k"], as_of={"left": "at", "right": "since", **as_of})
    return [row["v"] for row in rows], joined


RIGHT = cases.table(k=("integer", [1] * 3), since=_at(10, 20, 30), v=("string", ["a", "b", "c"]))


def test_a_row_gets_the_last_one_at_or_before_its_time(tmp_path: Path) -> None:
    left = cases.table(k=("integer", [1] * 5), at=_at(31, 9, 10, 29, 20))
    values, joined = _join(tmp_path, left, RIGHT)
    assert values == ["c", None, "a", "b", "b"]
    assert (joined.left.matched, joined.left.unmatched, joined.left.most_matches) == (4, 1, 1)
    assert (joined.right.matched, joined.right.unmatched, joined.right.most_matches) == (3, 0, 2)
    values, _ = _join(tmp_path, left, RIGHT, strict=True)
    assert values == ["c", None, None, "b", "a"]


def test_the_tolerance_includes_its_edge_to_the_microsecond(tmp_path: Path) -> None:
    right = cases.table(k=("integer", [1]), since=_at(0), v=("string", ["a"]))
    left = cases.table(k=("integer", [1] * 3), at=_at(1_499_999, 1_500_000, 1_500_001))
    values, _ = _join(tmp_path, left, right, tolerance_seconds=1.5)
    assert values == ["a", "a", None]
    values, _ = _join(tmp_path, cases.table(k=("integer", [1, 1]), at=_at(0, 1)), right, tolerance_seconds=0)
    assert values == ["a", None]


def test_a_row_that_is_known_later_is_no_leak_and_its_age_counts_from_its_time(tmp_path: Path) -> None:
    right = cases.table(k=("integer", [1, 1]), since=_at(0, 10 * SECOND), v=("string", ["a", "b"]))
    left = cases.table(k=("integer", [1] * 5), at=_at(*(s * SECOND for s in (4, 5, 14, 15, 30))))
    values, _ = _join(tmp_path, left, right, known_after_seconds=5)
    assert values == [None, "a", "a", "b", "b"]
    values, _ = _join(tmp_path, left, right, known_after_seconds=5, strict=True)
    assert values == [None, None, "a", "a", "b"]
    values, _ = _join(tmp_path, left, right, known_after_seconds=5, tolerance_seconds=13.5)
    assert values == [None, "a", None, "b", None]


def test_of_rows_of_one_time_the_last_of_the_dataset_counts_and_a_note_says_so(tmp_path: Path) -> None:
    right = cases.table(k=("integer", [1, 2, 1, 1]), since=_at(5, 5, 5, 4), v=("string", ["a", "x", "b", "c"]))
    left = cases.table(k=("integer", [1]), at=_at(5))
    values, joined = _join(tmp_path, left, right)
    assert values == ["b"]
    assert any(note.startswith("1 rows of right@1 have the same key and time") for note in joined.notes)


def test_missing_keys_and_times_match_nothing_and_are_counted(tmp_path: Path) -> None:
    left = cases.table(k=("integer", [1, None, 1]), at=_at(None, 50, 50))
    right = cases.table(k=("integer", [1, None, 1]), since=_at(None, 1, 2), v=("string", ["a", "b", "c"]))
    values, joined = _join(tmp_path, left, right)
    assert values == [None, None, "c"]
    assert (joined.left.without_key, joined.right.without_key) == (2, 2)
    assert "2 of the 3 rows of left@1 have no value in the key or the time, and match nothing." in joined.notes


@pytest.mark.parametrize(("how", "ids"), [("left", [0, 1, 2]), ("inner", [0, 2]), ("semi", [0, 2]), ("anti", [1])])
def test_each_how_keeps_its_rows(how: str, ids: list[int], tmp_path: Path) -> None:
    left = cases.table(id=("integer", [0, 1, 2]), k=("integer", [1, 1, 1]), at=_at(50, 1, 15))
    rows, _ = cases.run(tmp_path, left, RIGHT, on=["k"], how=how, as_of={"left": "at", "right": "since"})
    assert [row["id"] for row in rows] == ids
    assert list(rows[0]) == ["id", "k", "at", *(["since", "v"] if how in ("left", "inner") else [])]


def test_without_a_key_all_rows_are_of_one(tmp_path: Path) -> None:
    left = cases.table(at=_at(5, 25))
    rows, _ = cases.run(tmp_path, left, RIGHT, as_of={"left": "at", "right": "since"}, columns=["v"])
    assert rows == [{"at": rows[0]["at"], "v": None}, {"at": rows[1]["at"], "v": "b"}]


def test_dates_count_from_midnight_in_utc(tmp_path: Path) -> None:
    left = cases.table(k=("integer", [1, 1, 1]), at=_at(2 * DAY - 1, 2 * DAY, 3 * DAY))
    right = cases.table(k=("integer", [1, 1]), since=("date", [1, 2]), v=("string", ["a", "b"]))
    values, joined = _join(tmp_path, left, right)
    assert values == ["a", "b", "b"]
    assert any("known_after_seconds" in note for note in joined.notes)
    values, joined = _join(tmp_path, left, right, known_after_seconds=86_400)
    assert values == [None, "a", "b"]
    assert not joined.notes
    dated = cases.table(k=("integer", [1, 1]), at=("date", [1, 2]))
    later = cases.table(k=("integer", [1, 1]), since=_at(DAY, 2 * DAY + 1), v=("string", ["a", "b"]))
    values, joined = _join(tmp_path, dated, later)
    assert values == ["a", "a"]
    assert any("'at' count as midnight in UTC" in note for note in joined.notes)
    values, _ = _join(tmp_path, dated, right, strict=True)
    assert values == [None, "a"]


def test_zones_of_the_host_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    left = cases.table(k=("integer", [1]), at=_at(DAY))
    right = cases.table(k=("integer", [1, 1]), since=("date", [1, 2]), v=("string", ["a", "b"]))
    rows, _ = cases.run(tmp_path, left, right, on=["k"], as_of={"left": "at", "right": "since"})
    assert rows[0]["v"] == "a"
    assert rows[0]["at"] == datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)


def _brute_force(left: cases.Rows, right: cases.Rows, *, strict: bool, tolerance: float | None) -> list[int | None]:
    found = []
    for row in left:
        best: tuple[Any, int] | None = None
        for position, other in enumerate(right):
            if None in (row["k"], row["at"], other["k"], other["since"]) or row["k"] != other["k"]:
                continue
            age = (row["at"] - other["since"]).total_seconds()
            if age < 0 or (strict and age == 0) or (tolerance is not None and age > tolerance):
                continue
            if best is None or (other["since"], position) > best:
                best = other["since"], position
        found.append(None if best is None else right[best[1]]["v"])
    return found


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("tolerance", [None, 0.0, 3.0, 7.0])
def test_it_is_what_a_search_of_all_rows_and_pandas_find(strict: bool, tolerance: float | None, tmp_path: Path) -> None:
    dice = random.Random(f"{strict} {tolerance}")
    keys = [2**53, 2**53 + 1, None]
    left = cases.table(
        k=("integer", dice.choices(keys, k=150)), at=_at(*(dice.choice([None, *range(40)]) for _ in range(150)))
    )
    right = cases.table(
        k=("integer", dice.choices(keys, k=60)),
        since=_at(*(dice.choice([None, *range(40)]) for _ in range(60))),
        v=("integer", list(range(60))),
    )
    options: dict[str, Any] = {"strict": strict}
    if tolerance is not None:
        options["tolerance_seconds"] = tolerance / SECOND
    values, _ = _join(tmp_path, left, right, **options)
    limit = None if tolerance is None else tolerance / SECOND
    assert values == _brute_force(left.to_pylist(), right.to_pylist(), strict=strict, tolerance=limit)

    # pandas takes neither missing keys nor missing times, and only rows in the order of time.
    known = left.append_column("index", pa.array(range(150))).drop_null().to_pandas()
    others = right.drop_null().to_pandas()
    merged = pd.merge_asof(
        known.sort_values("at", kind="stable"),
        others.sort_values("since", kind="stable"),
        left_on="at",
        right_on="since",
        by="k",
        allow_exact_matches=not strict,
        tolerance=None if tolerance is None else pd.Timedelta(int(tolerance), "us"),
    )
    expected = {row["index"]: row["v"] for row in merged.dropna(subset=["v"]).to_dict("records")}
    assert expected == {index: value for index, value in enumerate(values) if value is not None}
