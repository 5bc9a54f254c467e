"""Every row of a table is in exactly one part, unchanged and in its order, and the same rows make the same parts."""

import collections
import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import errors
from tests.unit.processing.splits.conftest import SplitTable
from tests.unit.tabular.tables import EVERY_TYPE
from workers.tabular import engine

_ID = 2**53
"""From here on float64 holds even whole numbers only."""


def test_values_of_every_type_are_kept_with_their_names(split: SplitTable) -> None:
    parts = split(EVERY_TYPE, {"a": 0.34, "b": 0.33, "c": 0.33}, seed=3)
    whole = pa.concat_tables([parts.tables[name] for name in "abc"]).sort_by("ID")
    assert whole.equals(EVERY_TYPE.sort_by("ID"))
    assert whole.schema.names == EVERY_TYPE.schema.names
    stored = parts.split.tables[0]
    assert (stored.rows, [document["name"] for document in stored.profile]) == (1, EVERY_TYPE.schema.names)


def test_rows_keep_their_order_and_shares_are_exact(split: SplitTable) -> None:
    parts = split({"n": list(range(1000))}, {"train": 0.7, "valid": 0.2, "test": 0.1}, group_rows=130)
    assert parts.rows == {"train": 700, "valid": 200, "test": 100}
    values = parts.values("n")
    assert all(numbers == sorted(numbers) for numbers in values.values())
    assert sorted(itertools.chain.from_iterable(values.values())) == list(range(1000))
    assert parts.split.notes == []


def test_a_draw_is_even_over_the_table(split: SplitTable) -> None:
    test = split({"n": list(range(10_000))}).values("n")["test"]
    quarters = collections.Counter(number // 2500 for number in test)
    # A draw of 2,000 has a standard deviation of about 17 rows in each quarter.
    assert all(abs(count - 500) < 100 for count in quarters.values())


def test_the_same_seed_makes_the_same_files_with_any_threads_and_layout_and_another_seed_others(
    split: SplitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"n": list(range(5000)), "c": [f"c{n % 7}" for n in range(5000)], "g": [n // 3 for n in range(5000)]}
    for by in ({}, {"stratify": "c"}, {"group": "g"}):
        first = split(table, seed=5, **by)
        again = split(table, seed=5, threads=4, group_rows=77, **by)
        assert [stored.sha256 for stored in first.split.tables] == [stored.sha256 for stored in again.split.tables]
        assert split(table, seed=6, **by).values("n") != first.values("n")


def test_what_a_seed_draws_never_changes(split: SplitTable) -> None:
    def lot(row: int) -> int:
        return int.from_bytes(hashlib.md5(f"1:{row}".encode()).digest()[8:], "little")

    rows = list(range(20))
    by_lot = sorted(rows, key=lot)
    table = {"n": rows, "c": ["x", "y"] * 10, "g": [row // 2 for row in rows]}
    assert split(table, seed=1).values("n")["test"] == sorted(by_lot[16:])
    drawn = [[row for row in by_lot if row % 2 == odd][8:] for odd in (0, 1)]
    assert split(table, seed=1, stratify="c").values("n")["test"] == sorted(itertools.chain.from_iterable(drawn))
    groups = sorted(rows[::2], key=lot)
    drawn = [[groups[place], groups[place] + 1] for place in (2, 7)]
    assert split(table, seed=1, group="g").values("n")["test"] == sorted(itertools.chain.from_iterable(drawn))


@pytest.mark.slow
def test_memory_does_not_follow_the_rows(split: SplitTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MEMORY_BYTES", 64 * 1024 * 1024)
    rows = 500_000
    ids = np.random.default_rng(1).permutation(rows) + _ID
    for by in ({}, {"group": "id"}):
        parts = split({"id": ids}, **by)
        assert parts.rows == {"train": 400_000, "test": 100_000}
        assert (
            len(np.unique(np.concatenate([table.column("id").to_numpy() for table in parts.tables.values()]))) == rows
        )


def test_a_part_that_would_be_empty_is_refused_before_anything_is_written(split: SplitTable, tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match=r"of 10 rows none would be left for 'tiny' \(0.01\)"):
        split({"n": list(range(10))}, {"most": 0.99, "tiny": 0.01})
    assert [path.name for path in tmp_path.iterdir()] == ["whole.parquet"]
    with pytest.raises(errors.BadDataError, match="the dataset has 0 rows, too few for 2 parts"):
        split({"n": pa.array([], pa.int64())}, stratify="n")


def test_an_absent_column_is_refused(split: SplitTable) -> None:
    with pytest.raises(errors.BadDataError, match="'C'"):
        split({"c": [1, 2]}, stratify="C")


_VALUES: list[Any] = [None, _ID, _ID + 1, 0, -1, 7]


@pytest.mark.slow
@given(
    column=st.lists(st.sampled_from(_VALUES), min_size=4, max_size=80),
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    rule=st.sampled_from(["random", "stratify", "group", "time"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_in_one_part_whatever_the_rule(
    split: SplitTable, column: list[int | None], weights: list[int], seed: int, rule: str
) -> None:
    shares = {f"p{number}": weight / sum(weights) for number, weight in enumerate(weights)}
    table = {"n": list(range(len(column))), "c": pa.array(column, pa.int64())}
    by = {} if rule == "random" else {rule: "c"}
    try:
        parts = split(table, shares, seed=seed, **by)
    except errors.BadDataError:
        different = len(set(column))
        assert (rule == "time" and None in column) or min(shares.values()) * len(column) < 1 or different < len(shares)
        return
    numbers = parts.values("n")
    assert sorted(itertools.chain.from_iterable(numbers.values())) == table["n"]
    assert all(part == sorted(part) for part in numbers.values())
    for name, values in parts.values("c").items():
        assert values == [column[number] for number in numbers[name]]
    _check_rule(rule, column, shares, parts.values("c"))


def _check_rule(
    rule: str, column: list[int | None], shares: dict[str, float], values: dict[str, list[int | None]]
) -> None:
    if rule in ("group", "time"):
        assert sum(len(set(part)) for part in values.values()) == len(set(column))
    if rule == "time":
        ordered = [
            number for name in shares for number in sorted(number for number in values[name] if number is not None)
        ]
        assert ordered == sorted(number for number in column if number is not None)
    for value in set(column) if rule == "stratify" else ():
        for name, share in shares.items():
            assert abs(values[name].count(value) - share * column.count(value)) < 1 + 1e-9
    for name, share in shares.items() if rule == "random" else ():
        assert abs(len(values[name]) - share * len(column)) < 1 + 1e-9
