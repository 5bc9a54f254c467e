"""Parquet is read with its own types, and in pieces whose size does not depend on what the file claims."""

import datetime
import decimal
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import errors
from tests.unit.ingestion import versions
from tests.unit.ingestion.conftest import Load
from workers.ingestion.formats import arrow_types, parquet_table
from workers.ingestion.limits import Limits

MORE = "more digits than the about 16 that a number keeps"
TWINS = [2**53, 2**53 + 1]
"""Whole numbers that are the same as floats."""


def packed(columns: dict[str, Any], **options: Any) -> bytes:
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
    loaded = load(packed(columns), "parquet")
    assert list(loaded.types.values()) == ["integer", "number", "boolean", "string", "date", "timestamp", "string"]
    assert loaded.table.slice(0, 1).to_pylist() == [
        {"i": 1, "n": 1.5, "b": True, "s": "007", "d": moment.date(), "t": moment, "c": "x"}
    ]
    assert loaded.table.slice(1, 1).to_pylist() == [dict.fromkeys("inbsdtc")]
    assert loaded.notes == ""


@pytest.mark.parametrize(
    ("array", "kind", "stored", "note"),
    [
        (pa.array([decimal.Decimal("1.10")], pa.decimal128(38, 2)), "number", 1.1, ""),
        (pa.array([decimal.Decimal("0.35")], pa.decimal128(10, 2)), "number", 0.35, ""),
        (
            pa.array([decimal.Decimal("12345678901234567.35")], pa.decimal128(38, 2)),
            "number",
            12345678901234567.35,
            MORE,
        ),
        (pa.array([7], pa.decimal128(18, 0)), "integer", 7, ""),
        (pa.array([2**63 - 1], pa.decimal128(38, 0)), "integer", 2**63 - 1, ""),
        (pa.array([2**63], pa.decimal256(60, 0)), "string", "9223372036854775808", "beyond 64 bits"),
        (pa.array([None], pa.decimal128(38, 0)), "integer", None, ""),
        (pa.array([datetime.timedelta(seconds=90)], pa.duration("ms")), "number", 90.0, "stored as seconds"),
        (pa.array([datetime.time(1, 2)], pa.time64("us")), "string", "01:02:00.000000", "times of day"),
        (pa.array([[1, 2]]), "string", "[1, 2]", "JSON text"),
        (pa.array([{"a": 1, "b": [None]}]), "string", '{"a": 1, "b": [null]}', "JSON text"),
        (pa.array([b"abc"]), "string", "abc", "bytes"),
        (pa.array([None], pa.null()), "string", None, "no values"),
        (pa.array([5], pa.uint64()), "integer", 5, ""),
        (pa.array([2**64 - 1], pa.uint64()), "string", "18446744073709551615", "give it the type 'number'"),
        (pa.array(["x"], pa.large_string()), "string", "x", ""),
        (pa.array(["x"], pa.string_view()), "string", "x", ""),
        (pa.array([np.float16(1.5)], pa.float16()), "number", 1.5, ""),
    ],
)
def test_other_types_become_ours_with_a_note(load: Load, array: pa.Array, kind: str, stored: object, note: str) -> None:
    loaded = load(packed({"x": array}), "parquet")
    assert loaded.types == {"x": kind}
    assert loaded.values == {"x": [stored]}
    assert note in loaded.notes


def test_times_without_a_zone_are_read_as_utc_with_a_note(load: Load) -> None:
    loaded = load(packed({"t": pa.array([np.datetime64("2026-01-02T03", "us")])}), "parquet")
    assert loaded.values["t"] == [datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)]
    assert "read as UTC" in loaded.notes


def test_nanoseconds_are_cut_off_with_a_note(load: Load) -> None:
    loaded = load(packed({"t": pa.array([1_500], pa.timestamp("ns", "UTC"))}), "parquet")
    assert loaded.values["t"][0].microsecond == 1
    assert "finer than a microsecond" in loaded.notes


def test_nan_and_infinity_become_missing_with_a_note(load: Load) -> None:
    loaded = load(packed({"x": [1.0, float("nan"), float("inf"), -float("inf")]}), "parquet")
    assert loaded.values["x"] == [1.0, None, None, None]
    assert "2 numbers that are infinite" in loaded.notes
    assert "row 3" in loaded.notes


@pytest.mark.parametrize("kind", [pa.uint64(), pa.decimal128(20, 0)])
def test_an_integer_beyond_64_bits_is_refused_as_one(load: Load, kind: pa.DataType) -> None:
    data = packed({"x": pa.array([1, 2**64 - 1], kind)})
    assert load(data, "parquet").values["x"] == ["1", "18446744073709551615"]
    assert load(data, "parquet", types={"x": "number"}).values["x"] == [1.0, 2.0**64]
    with pytest.raises(errors.BadDataError, match="Row 2, column 'x': '18446744073709551615' is not a valid integer"):
        load(data, "parquet", types={"x": "integer"})


def test_one_large_whole_number_of_many_makes_text_of_all(load: Load) -> None:
    numbers = [*range(200_000), 2**63]
    data = packed({"y": [*numbers[:-1], 0], "x": pa.array(numbers, pa.decimal128(38, 0))}, row_group_size=70_000)
    loaded = load(data, "parquet")
    assert loaded.types == {"y": "integer", "x": "string"}
    assert loaded.values["x"] == [str(number) for number in numbers]


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.decimal128(20, 0), pa.uint64()])
@pytest.mark.parametrize("given", [{}, {"id": "integer"}, {"id": "string"}])
def test_no_row_is_lost_by_a_key_of_large_numbers(tmp_path: Path, kind: pa.DataType, given: dict[str, str]) -> None:
    dataset = versions.Dataset(tmp_path)
    made = dataset.load(packed({"id": pa.array(TWINS, kind)}), format="parquet", key=["id"], types=given)
    assert made is not None
    assert made.counts.duplicates == 0
    assert [int(row["id"]) for row in dataset.rows] == TWINS


def test_decimals_with_places_become_exact_integers(load: Load) -> None:
    data = packed({"x": pa.array(TWINS, pa.decimal128(38, 10))})
    assert load(data, "parquet", types={"x": "integer"}).values["x"] == TWINS


@pytest.mark.parametrize(
    ("texts", "kind", "stored"),
    [
        (["0", "0.00000001"], pa.decimal128(38, 20), ["0." + "0" * 20, "0.00000001" + "0" * 12]),
        (["1.10", None], pa.decimal128(10, 2), ["1.10", None]),
        (["12345678901234567891.5"], pa.decimal128(38, 1), ["12345678901234567891.5"]),
    ],
)
def test_decimals_as_text_have_all_their_digits(
    load: Load, texts: list[str | None], kind: pa.DataType, stored: list[str]
) -> None:
    data = packed({"x": pa.array([text and decimal.Decimal(text) for text in texts], kind)})
    assert load(data, "parquet", types={"x": "string"}).values["x"] == stored


def test_decimals_become_the_nearest_floats(load: Load) -> None:
    exact = [decimal.Decimal(number).scaleb(-2) for number in range(2000)]
    data = packed({"x": pa.array(exact, pa.decimal128(10, 2))})
    assert load(data, "parquet").values["x"] == [float(number) for number in exact]


def test_a_decimal_that_is_rounded_up_to_a_digit_more_is_noted(load: Load) -> None:
    data = packed({"x": pa.array([decimal.Decimal("9" * 76)], pa.decimal256(76, 0))})
    assert MORE in load(data, "parquet", types={"x": "number"}).notes


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1])
def test_a_whole_number_that_is_rounded_is_noted(load: Load, number: int) -> None:
    loaded = load(packed({"x": [number]}), "parquet", types={"x": "number"})
    assert loaded.values["x"] == [float(number)]
    assert "give the column the type 'string'" in loaded.notes


def test_large_floats_are_not_told_to_become_text(load: Load) -> None:
    notes = load(packed({"x": [2.0**60]}), "parquet").notes
    assert "they are floats in the source" in notes
    assert "'string'" not in notes


@pytest.mark.parametrize("decides", ["key", "watermark"])
@pytest.mark.parametrize(
    "array",
    [
        pa.array(TWINS),
        pa.array([decimal.Decimal("0.12345678901234567891")], pa.decimal128(38, 20)),
        pa.array(["9007199254740993"]),
    ],
    ids=["integer", "decimal", "text"],
)
def test_a_column_that_decides_is_not_rounded(array: pa.Array, decides: Any) -> None:
    column = arrow_types.ArrowConversion("x", source=array.type, override="number", decides=decides)
    with pytest.raises(
        errors.BadDataError, match=f"'x' is part of the {decides}, but its numbers have more than the about 16 digits"
    ):
        column.convert(array, 1)


def test_floats_may_decide() -> None:
    column = arrow_types.ArrowConversion("x", source=pa.float64(), override=None, decides="watermark")
    assert column.convert(pa.array([2.0**60]), 1).to_pylist() == [2.0**60]


@pytest.mark.parametrize(("source", "given"), [(pa.decimal128(20, 0), None), (pa.int64(), "string")])
def test_numbers_that_are_text_are_no_watermark(source: pa.DataType, given: Any) -> None:
    with pytest.raises(errors.BadDataError, match="text, which sorts in another order"):
        arrow_types.ArrowConversion("x", source=source, override=given, decides="watermark")
    arrow_types.ArrowConversion("x", source=source, override=given, decides="key")


@pytest.mark.parametrize(
    "array",
    [pa.array([b"a", b"\xff"]), pa.array([b"a", b"\xff"]).view(pa.string()), pa.array([b"a", b"\xff"], pa.binary(1))],
    ids=["bytes", "text by its type only", "bytes of one length"],
)
def test_bytes_that_are_no_text_are_refused(load: Load, array: pa.Array) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2, column 'x': .* is not a valid string; .* as hex or base64"):
        load(packed({"x": array}), "parquet")


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
    assert load(packed({"x": values}), "parquet", types={"x": kind}).values["x"] == stored


@pytest.mark.parametrize(("value", "kind"), [(1.5, "integer"), ("x", "number"), ("", "boolean"), ([1], "integer")])
def test_a_value_that_does_not_fit_is_named(load: Load, value: object, kind: str) -> None:
    with pytest.raises(errors.BadDataError, match=f"Row 1, column 'x': .* is not a valid {kind}; it must be"):
        load(packed({"x": [value]}), "parquet", types={"x": kind})


@pytest.mark.parametrize(
    "data",
    [
        packed({"x": list(range(1000))})[:-20],
        packed({"x": list(range(1000))})[:500],
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
    data = bytearray(packed({"x": [f"value {row}" for row in range(5000)]}, compression="zstd", use_dictionary=False))
    data[200:260] = bytes(60)
    with pytest.raises(errors.BadDataError, match="can't be read as Parquet"):
        load(bytes(data), "parquet")


def test_no_rows_are_refused(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match="no rows"):
        load(packed({"x": pa.array([], pa.int64())}), "parquet")


def test_a_name_that_comes_twice_is_refused(load: Load) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), sink)
    with pytest.raises(errors.BadDataError, match="'a' 2 times"):
        load(sink.getvalue(), "parquet")


def test_names_with_points_are_told_apart(load: Load) -> None:
    loaded = load(packed({"a": ["x"], "a.b": ["y"], "a.b.c": [3]}), "parquet")
    assert loaded.values == {"a": ["x"], "a.b": ["y"], "a.b.c": [3]}
    assert loaded.profile["a.b"]["top"] == [{"value": "y", "count": 1}]


def test_a_bomb_of_many_rows_is_refused_by_its_claim(load: Load) -> None:
    data = packed({"x": pa.repeat(1, 3_000_000)})
    assert len(data) < 20_000
    with pytest.raises(errors.LimitExceededError, match="3,000,000 rows"):
        load(data, "parquet", limits=Limits(rows=1_000_000))


def test_a_bomb_of_one_long_text_many_times_stops_by_its_decoded_size(load: Load) -> None:
    data = packed({"x": pa.repeat("y" * 10_000, 20_000)})
    assert len(data) < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(errors.LimitExceededError, match="unpacks to more than 100,000,000 bytes"):
        load(data, "parquet", limits=Limits(decompressed_bytes=100_000_000))
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_a_bomb_of_lists_is_refused_by_its_count_of_values(load: Load) -> None:
    data = packed({"x": [[0] * 100_000] * 20})
    with pytest.raises(errors.LimitExceededError, match="2,000,000 values, including those within lists"):
        load(data, "parquet", limits=Limits(cells=1_000_000))


def test_long_repeated_text_is_stored_piece_by_piece(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "SLICE_BYTES", 1000)
    values = ["a" * 100, None, "b" * 100] * 50
    assert load(packed({"x": values, "i": list(range(150))}), "parquet").values == {"x": values, "i": list(range(150))}


def test_a_value_without_end_is_refused_with_its_place(load: Load) -> None:
    with pytest.raises(errors.LimitExceededError, match="Row 2, column 'x': the value is 200 bytes long"):
        load(packed({"x": ["a", "b" * 200]}), "parquet", limits=Limits(field_bytes=100))


@pytest.mark.parametrize("row", [1, 2])
def test_a_row_that_is_too_large_is_refused_by_its_number(load: Load, row: int) -> None:
    # No value is too long by itself.
    values = ["y" * 100_000 if number == row else "y" for number in (1, 2, 3)]
    columns = {f"c{number}": pa.array(values).dictionary_encode() for number in range(50)}
    with pytest.raises(errors.LimitExceededError, match=rf"^Row {row} has 5,000,000 bytes; at most 4,000,000 "):
        load(packed(columns), "parquet", limits=Limits(row_bytes=4_000_000))
    assert load(packed(columns), "parquet", limits=Limits(row_bytes=5_000_000)).table.num_rows == 3


def by_shared_prefixes(columns: dict[str, Any], *names: str) -> bytes:
    """Write a file in which the values of some columns share their beginnings."""
    encoding = {name: "DELTA_BYTE_ARRAY" if name in names else "PLAIN" for name in columns}
    return packed(columns, use_dictionary=False, column_encoding=encoding, store_schema=False)


def test_values_that_share_their_beginnings_are_read(load: Load) -> None:
    words = [f"https://example.org/{number // 3}" for number in range(5000)]
    columns = {"a": [None, *words], "b": ["x", *words], "n": range(5001), "l": [["p", "pq"]] * 5001}
    loaded = load(by_shared_prefixes(columns, "a", "l"), "parquet")
    assert loaded.values["a"] == columns["a"]
    assert loaded.values["b"] == columns["b"]
    assert loaded.values["n"] == list(range(5001))


def test_long_values_that_share_their_beginnings_are_never_held_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(by_shared_prefixes({"a": pa.array(["x" * 100_000]).take(pa.array([0] * 10_000))}, "a"))
    pool = pa.default_memory_pool()
    before, rows, most = pool.bytes_allocated(), 0, 0
    limits = Limits(decompressed_bytes=2**40)
    with parquet_table.open_parquet(path, limits=limits) as table:
        for _, batch in parquet_table.iterate_batches(table, names=["a"], limits=limits):
            rows, most = rows + batch.num_rows, max(most, pool.bytes_allocated() - before)
    assert rows == 10_000
    assert most < 100 * 2**20


def test_declared_styles_reach_the_columns_of_text_that_types_make_numbers_and_dates(load: Load) -> None:
    columns = {
        "price": ["1.250,75", None, "-3"],
        "count": pa.array(["1.000", "2", "3"], pa.large_string()),
        "day": ["01.02.2026", "28.2.2026", None],
        "note": ["1,5", "01.02.2026", "x"],
        "plain": [1.5, 2.5, 3.5],
    }
    types = {"price": "number", "count": "integer", "day": "date"}
    loaded = load(packed(columns), "parquet", types=types, decimal=",", thousands=".", date_format="%d.%m.%Y")
    assert loaded.values["price"] == [1250.75, None, -3.0]
    assert loaded.values["count"] == [1000, 2, 3]
    assert loaded.values["day"] == [datetime.date(2026, 2, 1), datetime.date(2026, 2, 28), None]
    assert loaded.values["note"] == columns["note"]
    assert loaded.values["plain"] == columns["plain"]
    assert "Column 'price' was read as numbers with ',' before decimals" in loaded.notes
    assert "No column was read" not in loaded.notes


def test_a_text_in_another_style_is_refused_with_its_row_as_it_stands(load: Load) -> None:
    with pytest.raises(errors.BadDataError, match=r"Row 2, column 'price': '1\.5' is not a valid number"):
        load(packed({"price": ["1,5", "1.5"]}), "parquet", types={"price": "number"}, decimal=",", thousands="")


def test_styles_that_no_column_is_read_by_are_told_with_what_would_use_them(load: Load) -> None:
    loaded = load(packed({"price": ["1,5"]}), "parquet", decimal=",", date_format="%d.%m.%Y")
    assert loaded.values["price"] == ["1,5"]
    assert "No column was read by `decimal`: this source has types of its own" in loaded.notes
    assert "the type 'date' or 'timestamp' in `types`" in loaded.notes
