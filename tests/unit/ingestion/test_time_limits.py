"""Dates and times that no column holds are missing with their count, and INT96 is read without overflowing."""

import datetime
import decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.ingestion.conftest import Load

UTC = datetime.UTC
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
OPEN_END = [
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime.datetime(1, 1, 1, tzinfo=UTC),
    None,
    datetime.datetime(2024, 1, 1, 12, 0, 0, 123_456, UTC),
]


def packed(
    columns: dict[str, object], *, int96: bool = False, row_group: int | None = None, store_schema: bool = False
) -> bytes:
    sink = pa.BufferOutputStream()
    options: dict[str, Any] = {"row_group_size": row_group, "store_schema": store_schema}
    parquet.write_table(pa.table(columns), sink, use_deprecated_int96_timestamps=int96, **options)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def test_int96_of_the_years_1_and_9999_is_exact(load: Load) -> None:
    loaded = load(packed({"t": pa.array(OPEN_END, pa.timestamp("us")), "v": [1, 2, 3, 4]}, int96=True), "parquet")
    assert loaded.values == {"t": OPEN_END, "v": [1, 2, 3, 4]}
    assert "missing" not in loaded.notes
    assert "finer" not in loaded.notes


def test_int96_of_many_row_groups_is_exact(load: Load) -> None:
    times = [OPEN_END[row % 4] for row in range(1000)]
    texts = [f"{row % 3}" for row in range(1000)]
    columns: dict[str, object] = {"s": texts, "t": pa.array(times, pa.timestamp("us")), "a.b": list(range(1000))}
    assert load(packed(columns, int96=True, row_group=37), "parquet").values["t"] == times


def test_int96_finer_than_a_microsecond_is_cut_with_its_count(load: Load) -> None:
    # 2024-05-01T12:00:00.123456789
    nanoseconds = 1_714_564_800_123_456_789
    times = pa.array([nanoseconds, nanoseconds // 1000 * 1000, None], pa.timestamp("ns"))
    loaded = load(packed({"t": times}, int96=True), "parquet")
    exact = datetime.datetime(2024, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    assert loaded.values["t"] == [exact, exact, None]
    assert "'t' holds 1 times finer than a microsecond" in loaded.notes


def test_int96_of_years_that_no_column_holds_is_missing(load: Load) -> None:
    """A Julian day of 2^31 - 1 is in the year 5,874,898: its microseconds don't fit in 64 bits."""
    data = packed({"t": pa.array([OPEN_END[3], OPEN_END[3]], pa.timestamp("us"))}, int96=True)
    # 2024-01-01 is the Julian day 2,460,311, which the dictionary of this file holds in its last 4 bytes.
    day = (2_460_311).to_bytes(4, "little")
    assert data.count(day) == 1
    loaded = load(data.replace(day, (2**31 - 1).to_bytes(4, "little")), "parquet")
    assert loaded.values["t"] == [None, None]
    assert "'t' holds 2 dates or times that are not of the years 1 to 9999" in loaded.notes


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        (pa.array([253_402_300_800, 0, None], pa.timestamp("s")), [None, EPOCH, None]),
        (pa.array([-62_135_596_800_001, 0], pa.timestamp("ms")), [None, EPOCH]),
        (pa.array([10**15, 0], pa.timestamp("ms", "Asia/Tokyo")), [None, EPOCH]),
        (pa.array([253_402_300_800_000_000, 0], pa.timestamp("us")), [None, EPOCH]),
        (
            pa.array([253_402_300_799_999_999, -62_135_596_800_000_000], pa.timestamp("us")),
            [OPEN_END[0], OPEN_END[1]],
        ),
        (pa.array([2_932_897, -719_163, 0], pa.date32()), [None, None, datetime.date(1970, 1, 1)]),
        (pa.array([2_932_896, -719_162], pa.date32()), [datetime.date.max, datetime.date.min]),
    ],
)
def test_years_before_1_and_after_9999_are_missing_with_their_count(
    load: Load, array: pa.Array, stored: list[object]
) -> None:
    loaded = load(packed({"t": array}), "parquet")
    assert loaded.values["t"] == stored
    lost = sum(value is None for value in stored) - array.null_count
    noted = f"'t' holds {lost:,} dates or times that are not of the years 1 to 9999" in loaded.notes
    assert noted is bool(lost)


def test_what_is_out_of_range_is_kept_as_text(load: Load) -> None:
    array = pa.array([253_402_300_800_000, 0], pa.timestamp("ms"))
    loaded = load(
        packed({"t": array, "d": pa.array([2_932_897, 0], pa.date32())}),
        "parquet",
        types={"t": "string", "d": "string"},
    )
    assert loaded.values == {
        "t": ["10000-01-01 00:00:00.000", "1970-01-01 00:00:00.000"],
        "d": ["10000-01-01", "1970-01-01"],
    }
    assert "missing" not in loaded.notes


def test_cut_times_and_rounded_decimals_are_counted_by_column(load: Load) -> None:
    columns: dict[str, object] = {
        "t": pa.array([1_500, 2_000, 2_001], pa.timestamp("ns", "UTC")),
        "n": pa.array([decimal.Decimal(text) for text in ("12345678901234567.35", "0.35", "98765432109876543.21")]),
        "m": pa.array([decimal.Decimal(text) for text in ("0.99999999999999999999", "0.5", "0.25")]),
    }
    loaded = load(packed(columns), "parquet")
    assert "'t' holds 2 times finer than a microsecond" in loaded.notes
    assert "'n' holds 2 decimals with more digits" in loaded.notes
    assert "'m' holds 1 decimals with more digits" in loaded.notes
    assert loaded.notes.count("type 'string'") == 3


def test_times_within_lists_are_never_wrong(load: Load) -> None:
    columns: dict[str, object] = {
        "l": pa.array([[253_402_300_800_000], [0], None], pa.list_(pa.timestamp("ms"))),
        "s": pa.array([{"d": 2_932_897}, {"d": 0}, {"d": None}], pa.struct([("d", pa.date32())])),
        "i": pa.array([[OPEN_END[0].replace(tzinfo=None)], [], None], pa.list_(pa.timestamp("us"))),  # type: ignore[union-attr]
    }
    loaded = load(packed(columns, int96=True), "parquet")
    assert loaded.values == {
        "l": ['["10000-01-01 00:00:00.000000"]', '["1970-01-01 00:00:00.000000"]', None],
        "s": ['{"d": "10000-01-01"}', '{"d": "1970-01-01"}', '{"d": null}'],
        "i": ['["9999-12-31 23:59:59.999999"]', "[]", None],
    }


def test_bytes_and_nan_within_lists_are_json(load: Load) -> None:
    columns: dict[str, object] = {"b": [[b"abc", b"\xff\x00"]], "n": [[1.5, float("nan"), float("-inf")]]}
    assert load(packed(columns), "parquet").values == {"b": ['["abc", "ff00"]'], "n": ["[1.5, null, null]"]}


def test_durations_with_more_digits_than_a_float_are_counted(load: Load) -> None:
    durations = pa.array([2**62 + 1, 1_500_000_000, None], pa.duration("ns"))
    loaded = load(packed({"d": durations}, store_schema=True), "parquet")
    assert loaded.values["d"] == [4611686018.427388, 1.5, None]
    assert "'d' holds 1 durations with more digits" in loaded.notes
