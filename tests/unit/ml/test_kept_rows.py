"""Which rows a condition keeps: exact, the same however the rows are read, and with null never kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from shared.ml import kept_rows

LARGE = 2**53


def store(path: Path, **columns: Any) -> Path:
    """Write a table as Parquet, in row groups of three rows."""
    parquet.write_table(pa.table(columns), path, row_group_size=3)
    return path


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Eight rows with a text, an integer and a number."""
    return store(
        tmp_path / "d.parquet",
        region=["north", "south", None, "north", "North", "south", "north", None],
        age=pa.array([1, 2, 3, None, 5, 6, 7, 8], pa.int64()),
        amount=[0.5, 1.5, 2.5, 3.5, 4.5, None, 6.5, 7.5],
    )


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ('region == "north"', [0, 3, 6]),
        ('region != "north"', [1, 4, 5]),
        ('not (region == "north")', [1, 4, 5]),
        ('region == "north" or is_null(region)', [0, 2, 3, 6, 7]),
        ("age > 4 and amount > 5", [6, 7]),
        ('age + amount > 8 or region == "South"', [4, 6, 7]),
    ],
)
def test_rows_of_which_the_condition_is_true_are_kept(
    stored: Path, monkeypatch: pytest.MonkeyPatch, where: str, kept: list[int]
) -> None:
    for batch_rows in (2, 100):
        monkeypatch.setattr(kept_rows, "_BATCH_ROWS", batch_rows)
        mask, counted = kept_rows.find(stored, kept_rows.Choice(where=where))
        assert np.flatnonzero(mask).tolist() == kept
        read = kept_rows.read(stored, kept_rows.Choice(where=where), columns=["amount"])
        assert read.table.column_names == ["amount"]
        assert read.to_frame(["amount"]).index.tolist() == kept
        assert read.kept == counted
        assert counted is not None
        assert (counted.rows, counted.dataset_rows) == (len(kept), 8)


def test_a_value_is_chosen_among_the_rows_of_a_condition(stored: Path) -> None:
    choice = kept_rows.Choice(where="age > 1", column="region", value="north")
    read = kept_rows.read(stored, choice, columns=["age"])
    assert read.table["age"].to_pylist() == [7]
    assert read.positions is not None
    assert read.positions.tolist() == [6]


def test_without_a_condition_all_rows_are_read(stored: Path) -> None:
    read = kept_rows.read(stored, kept_rows.Choice(), columns=["age"])
    assert (read.table.num_rows, read.positions, read.kept) == (8, None, None)


@pytest.mark.parametrize(
    ("where", "kept"),
    [(f"id == {LARGE + 1}", [1]), (f"id + 1 == {LARGE + 1}", [0]), ("id + other == 9007199254740993", [0])],
)
def test_integers_that_float64_would_merge_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, kept: list[int]
) -> None:
    # In the last case no column holds a large number, but their sums are large.
    other = [1, 1, 1, 1] if "other" not in where else [LARGE // 2 + 1, LARGE // 2, 1, 1]
    ids = [LARGE, LARGE + 1, LARGE + 2, 5] if "other" not in where else [LARGE // 2, LARGE // 2, 1, 1]
    path = store(tmp_path / "d.parquet", id=pa.array(ids, pa.int64()), other=pa.array(other, pa.int64()))
    for batch_rows in (1, 100):
        monkeypatch.setattr(kept_rows, "_BATCH_ROWS", batch_rows)
        mask, _ = kept_rows.find(path, kept_rows.Choice(where=where))
        assert np.flatnonzero(mask).tolist() == kept


def test_a_condition_that_keeps_nothing_says_why(stored: Path) -> None:
    with pytest.raises(
        errors.BadDataError, match="keeps none of 8 rows: it is false in 6, and missing in 2"
    ) as refused:
        kept_rows.read(stored, kept_rows.Choice(where='region == "east"'), columns=["age"])
    assert refused.value.pointer == "#/params/where"


@pytest.mark.parametrize(
    ("values", "value", "found"),
    [
        (pa.array(["a", None, "A"]).dictionary_encode(), "a", [True, False, False]),
        (pa.array([True, None, False]), False, [False, False, True]),
        (pa.array([LARGE, LARGE + 1, None], pa.int64()), LARGE + 1, [False, True, False]),
        (pa.array([1, 2, None], pa.int8()), 2, [False, True, False]),
    ],
)
def test_a_value_is_found_exactly(values: pa.Array, value: Any, found: list[bool]) -> None:
    assert kept_rows.find_value(values, value).tolist() == found
