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
from shared.ml import frames, integers
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


def test_only_columns_whose_values_repeat_in_the_first_rows_are_kept_in_dictionaries(tmp_path: Path) -> None:
    numbers = np.arange(1000.0)
    frame = pd.DataFrame({"unique": numbers, "code": numbers % 7, "id": [f"{number}" for number in numbers]})
    frame["town"] = np.where(numbers % 2, "Ulm", "Bonn")
    types: dict[str, contract.ColumnType] = {"unique": "number", "code": "number", "id": "string", "town": "string"}
    columns = [contract.Column(name=name, type=column_type) for name, column_type in types.items()]
    with frames.FrameWriter(tmp_path / "out.parquet", columns=columns) as writer:
        writer.write(frame.iloc[:0])
        writer.write(frame)
    group = parquet.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
    chunks = [group.column(position) for position in range(len(types))]
    in_dictionaries = {chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page}
    assert in_dictionaries == {"code", "town"}
    pd.testing.assert_frame_equal(frames.read_frame(tmp_path / "out.parquet"), frame)


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


@pytest.mark.parametrize("large", [2**53, -(2**53), 2**63 - 1, -(2**63)])
def test_integers_that_float64_would_merge_are_exact(large: int) -> None:
    for array in (
        pa.array([large, None, 3]),
        pa.chunked_array([pa.array([3, None], type=pa.int64()), pa.array([large])]),
        pa.array([large, None, 3]).dictionary_encode(),
    ):
        [values] = [frames.to_frame(pa.table({"a": array}))["a"]]
        assert values.dtype == integers.DTYPE
        assert sorted(values.dropna().tolist()) == sorted([3, large])
        assert values.isna().sum() == 1


def test_smaller_integers_and_those_beyond_64_bits_are_floats() -> None:
    for array in (
        pa.array([2**53 - 1, None, -(2**53) + 1]),
        pa.array([1, None], type=pa.int8()),
        pa.array([None, None], type=pa.int64()),
        pa.array([], type=pa.int64()),
        pa.array([1, 2, 1]).dictionary_encode(),
        pa.array([2**64 - 1], type=pa.uint64()),
    ):
        assert frames.to_frame(pa.table({"a": array}))["a"].dtype == np.float64
    assert frames.to_frame(pa.table({"a": pa.array([2**60 + 1], type=pa.uint64())}))["a"].tolist() == [2**60 + 1]


def test_an_infinite_number_is_named_with_its_row_in_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    parquet.write_table(pa.table({"a": [1.0] * 5, "b": [0.0, 1.0, 2.0, 3.0, float("inf")]}), path)
    with pytest.raises(errors.BadDataError, match="column 'b' holds inf in row 5, which is infinite"):
        list(frames.iterate_frames(path, batch_rows=2))


def test_the_labels_of_frames_are_positions_in_the_whole_file_and_their_values_stay(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    large = 2**53 + 1
    times = pa.array([0, 1, 2], pa.timestamp("us", tz="UTC"))
    parquet.write_table(pa.table({"n": [1, 2, large], "t": times, "s": ["a", None, "c"]}), path)
    whole, parts = frames.read_frame(path), list(frames.iterate_frames(path, batch_rows=2))
    assert [part.index.tolist() for part in parts] == [[0, 1], [2]]
    assert [part["t"].isna().any() for part in parts] == [False, False]
    assert parts[1]["n"].tolist() == [large] == whole["n"].tolist()[2:]


def test_a_value_that_does_not_fit_its_column_is_named_with_its_row(tmp_path: Path) -> None:
    columns = [contract.Column(name="a", type="integer")]
    with frames.FrameWriter(tmp_path / "out.parquet", columns=columns) as writer:
        writer.write_table(pa.table({"a": [1.0, 2.0, 3.0]}))
        with pytest.raises(errors.BadDataError, match=r"column 'a' must be of type integer.*\(first in row 5\)"):
            writer.write_table(pa.table({"a": [4.0, 5.5, 6.0, 7.5]}))


def test_batches_hold_few_bytes_however_often_a_long_value_repeats(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 1000, pa.int32()), pa.array(["a", "x" * 1_000_000]))
    path = tmp_path / "d.parquet"
    table = pa.table({"text": text, "number": range(2000)})
    parquet.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False)
    rows = most = 0
    for batch in frames.iterate_batches(path, batch_rows=65_536):
        rows, most = rows + batch.num_rows, max(most, batch.nbytes)
    assert rows == 2000
    assert most <= frames.BATCH_BYTES


def test_no_row_group_is_written_that_is_too_large_to_be_read_at_once(tmp_path: Path) -> None:
    columns = [contract.Column(name="text", type="string", nullable=False)]
    rows = 3 * frames.BATCH_BYTES // 1_000_000
    with frames.FrameWriter(tmp_path / "d.parquet", columns=columns) as writer:
        writer.write_table(pa.table({"text": pa.repeat("x" * 1_000_000, rows)}))
    metadata = parquet.read_metadata(tmp_path / "d.parquet")
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sum(groups) == rows
    assert max(groups) * 1_000_000 <= frames.BATCH_BYTES
