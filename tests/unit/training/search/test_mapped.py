"""Tables and arrays in mapped files: equal to what was put in, and shared instead of read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workers.training import tables
from workers.training.search import mapped

pytestmark = pytest.mark.slow


def table(*, rows: int = 500, **given: Any) -> tables.Table:
    dice = np.random.default_rng(0)
    words = dice.choice(np.array(["rot", "grün", "", "\N{SNOWMAN}"], dtype=object), size=rows)
    words[dice.random(rows) < 0.2] = np.nan
    times = pd.Series(pd.to_datetime(dice.integers(-(10**12), 10**15, rows), unit="us", utc=True))
    frame = pd.DataFrame(
        {
            "number": np.where(dice.random(rows) < 0.2, np.nan, dice.normal(size=rows)),
            "when": times.astype("datetime64[us, UTC]").where(dice.random(rows) > 0.2),
            "word": words,
            "../flag": dice.integers(0, 2, rows).astype(float),
            "nothing": np.full(rows, np.nan, dtype=object),
        }
    )
    return tables.Table(frame, **{"values": dice.choice(np.array(["yes", "no"], dtype=object), size=rows)} | given)


def equal(left: tables.Table, right: tables.Table) -> None:
    pd.testing.assert_frame_equal(left.frame, right.frame, check_exact=True)
    assert (left.left_out, left.labels) == (right.left_out, right.labels)
    for name in ("values", "weights", "groups", "times"):
        one, other = getattr(left, name), getattr(right, name)
        np.testing.assert_array_equal(one, other)
        assert one is None or one.dtype == other.dtype


@pytest.mark.parametrize("rows", [500, 1])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"values": None},
        {"values": np.zeros((1, 3), dtype=np.int64), "labels": ["a", "b", "c"]},
        {"values": np.ones(1), "left_out": 3, "weights": np.ones(1), "groups": np.ones(1, dtype=np.int64)},
        {"values": np.ones(1, dtype=bool), "times": np.ones(1, dtype=np.int64)},
    ],
)
def test_a_table_comes_back_as_it_was(tmp_path: Path, rows: int, given: dict[str, Any]) -> None:
    grown = {
        name: np.repeat(value, rows, axis=0) if isinstance(value, np.ndarray) else value
        for name, value in given.items()
    }
    mapped.write_table(table(rows=rows, **grown), tmp_path / "kept")
    equal(mapped.read_table(tmp_path / "kept"), table(rows=rows, **grown))


def test_a_table_of_columns_of_one_type_comes_back(tmp_path: Path) -> None:
    for place, name in enumerate(("number", "when", "word")):
        one = table().select([name])
        mapped.write_table(one, tmp_path / f"{place}")
        equal(mapped.read_table(tmp_path / f"{place}"), one)


def test_numbers_are_mapped_and_targets_are_copied(tmp_path: Path) -> None:
    mapped.write_table(table(weights=np.ones(500)), tmp_path / "kept")
    read = mapped.read_table(tmp_path / "kept")
    held = read.frame["number"].to_numpy()
    assert not held.flags.writeable
    while held.base is not None and not isinstance(held, np.memmap):
        held = held.base
    assert isinstance(held, np.memmap)
    assert read.weights is not None
    assert read.weights.flags.writeable


def test_no_column_names_a_file(tmp_path: Path) -> None:
    mapped.write_table(table(), tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert all(path.is_file() for path in (tmp_path / "kept").iterdir())


def test_what_is_read_lives_on_when_its_files_are_gone(tmp_path: Path) -> None:
    mapped.write_table(table(), tmp_path / "kept")
    read = mapped.read_table(tmp_path / "kept")
    for path in (tmp_path / "kept").iterdir():
        path.unlink()
    equal(read, table())
