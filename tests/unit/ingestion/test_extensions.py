"""Arrow's extension types are read as what they mean, registered or not."""

import json
import uuid
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from tests.unit.ingestion.conftest import Load
from workers.ingestion.limits import Limits

ID = uuid.UUID("0c87dfe5-9d10-47f6-964e-56b47704ed44")


def packed(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def extension(arrow_type: pa.DataType, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(arrow_type, storage)


@pytest.mark.parametrize("store_schema", [True, False])
def test_a_uuid_is_the_text_that_everybody_writes(load: Load, store_schema: bool) -> None:
    column = pa.array([ID.bytes, None], pa.uuid())
    loaded = load(packed(pa.table({"u": column}), store_schema=store_schema), "parquet")
    assert loaded.types == {"u": "string"}
    assert loaded.values == {"u": [str(ID), None]}
    assert "'u' holds UUIDs" in loaded.notes


def test_what_duckdb_writes_is_read(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "duck.parquet"
    duckdb.sql(f"""COPY (SELECT '{ID}'::UUID AS u, '{{"a":1}}'::JSON AS j, 'x'::ENUM('x', 'y') AS e) TO '{path}'""")
    loaded = load(path.read_bytes(), "parquet")
    assert loaded.values == {"u": [str(ID)], "j": ['{"a":1}'], "e": ["x"]}


def test_what_duckdb_writes_within_lists_and_as_intervals_is_read(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "duck.parquet"
    duckdb.sql(
        f"""COPY (SELECT ['{ID}'::UUID] AS u, INTERVAL '14 months 3 days 4500 ms' AS i UNION ALL SELECT NULL, NULL)
        TO '{path}'"""
    )
    loaded = load(path.read_bytes(), "parquet")
    assert loaded.values == {"u": [f'["{ID}"]', None], "i": ["P14M3DT4.500S", None]}
    assert "'i' holds intervals" in loaded.notes


def test_extension_types_of_arrow_are_the_values_that_they_hold(load: Load) -> None:
    table = pa.table(
        {
            "j": pa.array(['{"a":1}', None], pa.json_()),
            "b": extension(pa.bool8(), pa.array([1, None], pa.int8())),
            "o": extension(pa.opaque(pa.int64(), "money", "shop"), pa.array([2**53 + 1, None])),
            "t": extension(pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2], None], pa.list_(pa.int32(), 2))),
        }
    )
    loaded = load(packed(table), "parquet")
    assert list(loaded.types.values()) == ["string", "boolean", "integer", "string"]
    assert loaded.values == {"j": ['{"a":1}', None], "b": [True, None], "o": [2**53 + 1, None], "t": ["[1, 2]", None]}
    assert "'o' is of the extension type 'arrow.opaque'" in loaded.notes
    assert "'j'" not in loaded.notes


def test_periods_and_intervals_of_pandas_are_text(load: Load, tmp_path: Path) -> None:
    frame = pd.DataFrame({"p": pd.period_range("2024-01", periods=2, freq="M"), "i": pd.interval_range(0, 2)})
    frame.to_parquet(tmp_path / "frame.parquet")
    loaded = load((tmp_path / "frame.parquet").read_bytes(), "parquet")
    assert loaded.values["p"] == ["2024-01", "2024-02"]
    assert [json.loads(text) for text in loaded.values["i"]] == [{"left": 0, "right": 1}, {"left": 1, "right": 2}]


@pytest.mark.parametrize(
    ("name", "metadata", "storage", "stored"),
    [
        ("pandas.period", '{"freq": "Q-DEC"}', pa.array([216, None]), ["2024Q1", None]),
        ("shop.cents", "", pa.array([5, None]), [5, None]),
        ("arrow.uuid", "", pa.array([ID.bytes, None], pa.binary(16)), [str(ID), None]),
    ],
)
def test_a_type_that_nobody_has_registered_is_known_by_its_name(
    load: Load, name: str, metadata: str, storage: pa.Array, stored: list[object]
) -> None:
    named = {"ARROW:extension:name": name, "ARROW:extension:metadata": metadata}
    table = pa.table([storage], schema=pa.schema([pa.field("x", storage.type, metadata=named)]))
    loaded = load(packed(table), "parquet")
    assert loaded.values == {"x": stored}
    assert "Column 'x'" in loaded.notes


def test_long_text_of_an_extension_type_is_bounded_too(load: Load) -> None:
    """A dictionary repeats a text of 10 KB twenty thousand times in a file of a few kilobytes."""
    column = pa.array(["x" * 10_000] * 20_000, pa.string())
    data = packed(pa.table({"j": extension(pa.json_(), column)}), compression="zstd")
    assert len(data) < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(errors.LimitExceededError, match="unpacks to more than 100,000,000 bytes"):
        load(data, "parquet", limits=Limits(decompressed_bytes=100_000_000))
    assert pa.total_allocated_bytes() - before < 50_000_000
