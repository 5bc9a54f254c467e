"""Parquet is read with its own types, and in pieces whose size does not depend on what the file claims."""

import datetime
import decimal
import io
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from tests.unit.ingestion.conftest import Load
from workers.ingestion import limits as limits_module
from workers.ingestion import parquet_table


def _packed(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def test_plain_types_are_kept(load: Load) -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    columns = {
        "i": pa.array([1, None], pa.int8()),
        "n": pa.array([1.5, None], pa.float32()),
        "b": [True, None],
        "s": ["007", None],
        "d": [moment.date(), None],
        "t": pa.array([moment, None], pa.timestamp("ns", "Europe/Berlin")),
        "c": pa.array(["x", None]).dictionary_encode(),
    }
    loaded = load(_packed(columns), "parquet")
    assert list(loaded.types.values()) == ["integer", "number", "boolean", "string", "date", "timestamp", "string"]
    assert loaded.table.slice(0, 1).to_pylist() == [
        {"i": 1, "n": 1.5, "b": True, "s": "007", "d": moment.date(), "t": moment, "c": "x"}
    ]
    assert loaded.table.slice(1, 1).to_pylist() == [dict.fromkeys("inbsdtc")]
    assert loaded.notes == ""


@pytest.mark.parametrize(
    ("array", "kind", "stored", "note"),
    [
        (pa.array([decimal.Decimal("1.10")], pa.decimal128(10, 2)), "number", 1.1, ""),
        (pa.array([decimal.Decimal("1.10")], pa.decimal128(38, 2)), "number", 1.1, "decimals of up to 38 digits"),
        (pa.array([datetime.timedelta(seconds=90)], pa.duration("ms")), "number", 90.0, "stored as seconds"),
        (pa.array([datetime.time(1, 2)], pa.time64("us")), "string", "01:02:00.000000", "times of day"),
        (pa.array([[1, 2]]), "string", "[1, 2]", "JSON text"),
        (pa.array([{"a": 1, "b": [None]}]), "string", '{"a": 1, "b": [null]}', "JSON text"),
        (pa.array([b"abc"]), "string", "abc", "bytes"),
        (pa.array([None], pa.null()), "string", None, "no values"),
        (pa.array([5], pa.uint64()), "integer", 5, ""),
        (pa.array(["x"], pa.large_string()), "string", "x", ""),
        (pa.array(["x"], pa.string_view()), "string", "x", ""),
        (pa.array([np.float16(1.5)], pa.float16()), "number", 1.5, ""),
    ],
)
def test_other_types_become_ours_with_a_note(load: Load, array: pa.Array, kind: str, stored: object, note: str) -> None:
    loaded = load(_packed({"x": array}), "parquet")
    assert loaded.types == {"x": kind}
    assert loaded.values == {"x": [stored]}
    assert note in loaded.notes


def test_times_without_a_zone_are_read_as_utc_with_a_note(load: Load) -> None:
    loaded = load(_packed({"t": pa.array([np.datetime64("2026-01-02T03", "us")])}), "parquet")
    assert loaded.values["t"] == [datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)]
    assert "read as UTC" in loaded.notes


def test_nanoseconds_are_cut_off_with_a_note(load: Load) -> None:
    loaded = load(_packed({"t": pa.array([1_500], pa.timestamp("ns", "UTC"))}), "parquet")
    assert loaded.values["t"][0].microsecond == 1
    assert "finer than a microsecond" in loaded.notes


def test_nan_and_infinity_become_missing_with_a_note(load: Load) -> None:
    loaded = load(_packed({"x": [1.0, float("nan"), float("inf"), -float("inf")]}), "parquet")
    assert loaded.values["x"] == [1.0, None, None, None]
    assert "2 numbers that are infinite" in loaded.notes
    assert "row 3" in loaded.notes


def test_an_integer_beyond_64_bits_is_refused_and_may_be_text(load: Load) -> None:
    data = _packed({"x": pa.array([1, 2**64 - 1], pa.uint64())})
    with pytest.raises(errors.BadDataError, match="Row 2, column 'x': '18446744073709551615' is no integer"):
        load(data, "parquet")
    assert load(data, "parquet", types={"x": "string"}).values["x"] == ["1", "18446744073709551615"]


def test_bytes_that_are_no_text_are_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2, column 'x': .* is no string"):
        load(_packed({"x": [b"a", b"\xff"]}), "parquet")


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        (["1", "007"], "integer", [1, 7]),
        ([1.0, 2.0], "integer", [1, 2]),
        ([1, 2], "number", [1.0, 2.0]),
        ([1, 0], "boolean", [True, False]),
        ([True], "string", ["true"]),
        (["2026-01-02"], "date", [datetime.date(2026, 1, 2)]),
        ([1.25], "string", ["1.25"]),
    ],
)
def test_types_can_be_given(load: Load, values: list[Any], kind: str, stored: list[Any]) -> None:
    assert load(_packed({"x": values}), "parquet", types={"x": kind}).values["x"] == stored


@pytest.mark.parametrize(("value", "kind"), [(1.5, "integer"), ("x", "number"), ("", "boolean"), ([1], "integer")])
def test_a_value_that_does_not_fit_is_named(load: Load, value: object, kind: str) -> None:
    with pytest.raises(errors.BadDataError, match=f"Row 1, column 'x': .* is no {kind}; it must be"):
        load(_packed({"x": [value]}), "parquet", types={"x": kind})


@pytest.mark.parametrize(
    "data",
    [
        _packed({"x": list(range(1000))})[:-20],
        _packed({"x": list(range(1000))})[:500],
        pickle.dumps({"x": [1, 2]}),
        b"PAR1PAR1",
        b"PAR1" + b"\xff" * 100 + b"PAR1",
        b"x,y\n1,2\n",
    ],
    ids=["cut at its end", "cut in the middle", "pickle", "two magics", "wild footer", "csv"],
)
def test_what_is_no_whole_parquet_is_refused(load: Load, data: bytes) -> None:
    with pytest.raises(errors.BadDataError, match=r"can't be read as Parquet|declared as Parquet"):
        load(data, "parquet")


def test_a_damaged_page_is_refused(load: Load) -> None:
    data = bytearray(_packed({"x": [f"value {row}" for row in range(5000)]}, compression="zstd", use_dictionary=False))
    data[200:260] = bytes(60)
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet"):
        load(bytes(data), "parquet")


def test_no_rows_are_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="no rows"):
        load(_packed({"x": pa.array([], pa.int64())}), "parquet")


def test_a_name_that_comes_twice_is_refused(load: Load) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), sink)
    with pytest.raises(errors.BadDataError, match="'a' 2 times"):
        load(sink.getvalue(), "parquet")


def test_names_with_points_are_told_apart(load: Load) -> None:
    loaded = load(_packed({"a": ["x"], "a.b": ["y"], "a.b.c": [3]}), "parquet")
    assert loaded.values == {"a": ["x"], "a.b": ["y"], "a.b.c": [3]}
    assert loaded.profile["a.b"]["top"] == [{"value": "y", "count": 1}]


def test_a_bomb_of_many_rows_is_refused_by_its_claim(load: Load) -> None:
    data = _packed({"x": pa.repeat(1, 3_000_000)})
    assert len(data) < 20_000
    with pytest.raises(errors.LimitExceededError, match="3,000,000 rows"):
        load(data, "parquet", limits=limits_module.Limits(rows=1_000_000))


def test_a_bomb_of_one_long_text_many_times_stops_by_its_decoded_size(load: Load) -> None:
    data = _packed({"x": pa.repeat("y" * 10_000, 20_000)})
    assert len(data) < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(errors.LimitExceededError, match="unpacks to more than 100,000,000 bytes"):
        load(data, "parquet", limits=limits_module.Limits(decompressed_bytes=100_000_000))
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_a_bomb_of_lists_is_refused_by_its_count_of_values(load: Load) -> None:
    data = _packed({"x": [[0] * 100_000] * 20})
    with pytest.raises(errors.LimitExceededError, match="2,000,000 values, those within lists counted"):
        load(data, "parquet", limits=limits_module.Limits(cells=1_000_000))


def test_long_repeated_text_is_stored_piece_by_piece(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "PIECE_BYTES", 1000)
    values = ["a" * 100, None, "b" * 100] * 50
    assert load(_packed({"x": values, "i": list(range(150))}), "parquet").values == {"x": values, "i": list(range(150))}


def test_a_value_without_end_is_refused_with_its_place(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="Row 2, column 'x': the value is 200 bytes long"):
        load(_packed({"x": ["a", "b" * 200]}), "parquet", limits=limits_module.Limits(field_bytes=100))
