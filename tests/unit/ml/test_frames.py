"""Frames have the dtypes of the schema, and files that are broken or odd are refused."""

import datetime
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import contract, digests, errors
from shared.ml import frames
from tests.unit.ml import tables


def test_dtypes_follow_from_the_schema(tmp_path: Path) -> None:
    frame = frames.read_frame(tables.mixed(tmp_path / "d.parquet"))
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "age": "float64",
        "weight": "float64",
        "member": "float64",
        "town": "object",
        "joined": "datetime64[us, UTC]",
        "seen": "datetime64[us, UTC]",
        "bought": "object",
        "spent": "float64",
    }


@pytest.mark.parametrize("batch_rows", [1, 7, 80, 1000])
def test_batches_have_the_dtypes_of_the_whole_with_missing_values_or_without(tmp_path: Path, batch_rows: int) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    whole = frames.read_frame(path)
    batches = list(frames.iterate_frames(path, batch_rows=batch_rows))
    assert len(batches) == -(-80 // batch_rows)
    assert all((batch.dtypes == whole.dtypes).all() for batch in batches)
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), whole)


def test_missing_text_is_nan_and_never_none(tmp_path: Path) -> None:
    frame = frames.read_frame(tables.write(tmp_path / "d.parquet", {"t": "string"}, t=["a", None]))
    assert frame["t"].iloc[0] == "a"
    assert isinstance(frame["t"].iloc[1], float)


def test_a_date_becomes_its_midnight_in_utc(tmp_path: Path) -> None:
    path = tables.write(tmp_path / "d.parquet", {"d": "date"}, d=[datetime.date(2026, 3, 1)])
    assert frames.read_frame(path)["d"].iloc[0] == pd.Timestamp("2026-03-01", tz="UTC")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_number_is_refused_by_name_and_value(tmp_path: Path, value: float) -> None:
    path = tables.write(tmp_path / "d.parquet", {"x": "number"}, x=[1.0, value])
    with pytest.raises(errors.BadDataError, match=f"'x' holds {value}"):
        frames.read_frame(path)


def test_a_missing_column_is_named_with_those_close_to_it(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    with pytest.raises(errors.BadDataError, match=r"column 'weigth' \(did you mean 'weight'\?\)"):
        frames.read_frame(path, columns=["age", "weigth"])
    with pytest.raises(errors.BadDataError, match=r"column 'zzz' \(there are 'age', 'weight'"):
        next(frames.iterate_frames(path, batch_rows=1, columns=["zzz"]))


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_file_is_refused_without_telling_where_it_is(tmp_path: Path, keep: int) -> None:
    path = tables.mixed(tmp_path / "d.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet") as caught:
        frames.read_frame(path)
    assert str(tmp_path) not in caught.value.message


def test_a_file_broken_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tables.mixed(tmp_path / "d.parquet", rows=5000)
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet"):
        list(frames.iterate_frames(path, batch_rows=100))


def test_a_renamed_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    path.write_bytes(pickle.dumps({"a": [1, 2]}))
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet"):
        frames.read_columns(path)


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": [[1], [2]]}), tmp_path / "d.parquet")
    with pytest.raises(errors.BadDataError, match="'x' has the type list"):
        frames.read_frame(tmp_path / "d.parquet")


def test_a_name_used_twice_is_refused() -> None:
    with pytest.raises(errors.BadDataError, match="used twice: x"):
        frames.columns_of(pa.schema([("x", pa.int64()), ("x", pa.string())]))


def test_what_is_written_is_read_again_and_described(tmp_path: Path) -> None:
    frame = frames.read_frame(tables.mixed(tmp_path / "in.parquet"))
    types = frames.read_columns(tmp_path / "in.parquet")
    with frames.FrameWriter(tmp_path / "out.parquet", columns=types) as writer:
        writer.write(frame.iloc[:30])
        writer.write(frame.iloc[30:])
    assert writer.rows == 80
    assert writer.bytes == (tmp_path / "out.parquet").stat().st_size
    assert writer.sha256 == digests.of_file(tmp_path / "out.parquet")
    nullable = {column.name for column in writer.columns if column.nullable}
    assert nullable == {"age", "weight", "member", "town", "joined"}
    assert parquet.read_table(tmp_path / "in.parquet").equals(parquet.read_table(tmp_path / "out.parquet"))


def test_a_file_that_fails_half_way_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"

    def fail_half_way() -> None:
        with frames.FrameWriter(path, columns=[contract.Column(name="n", type="integer")]) as writer:
            writer.write_table(pa.table({"n": [1, 2]}))
            assert path.exists()
            writer.write_table(pa.table({"n": [1.5]}))

    with pytest.raises(errors.BadDataError, match="column 'n' must be of type integer"):
        fail_half_way()
    assert not path.exists()


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    with frames.FrameWriter(tmp_path / "out.parquet", columns=[contract.Column(name="n", type="integer")]) as writer:
        pass
    assert writer.rows == 0
    assert [column.name for column in frames.read_columns(tmp_path / "out.parquet")] == ["n"]
    assert list(frames.iterate_frames(tmp_path / "out.parquet", batch_rows=10)) == []
