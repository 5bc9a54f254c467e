"""Texts are read as dates as loads read them, and anything else is refused by column, value and row, or counted."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import contract, date_formats, digests, errors
from shared.ml import artifacts, frames
from shared.ml.recipes import compiling
from shared.ml.values import date_texts, lost_values
from shared.recipe.language import Recipe
from tests.unit.ml import tables

NONE = None
READ: list[tuple[str, str, str | None]] = [
    ("dd.mm.yyyy", "05.02.2024", "2024-02-05"),
    ("%d.%m.%Y", " 5.2.2024 ", "2024-02-05"),
    ("%d.%m.%Y", "31.02.2024", NONE),
    ("%d.%m.%Y", "29.02.2023", NONE),
    ("%d.%m.%Y", "05.02.2024 10:00", NONE),
    ("%d.%m.%Y", "2024-02-05", NONE),
    ("%m/%d/%y", "02/05/69", "1969-02-05"),
    ("%m/%d/%y", "02/05/68", "2068-02-05"),
    ("%Y-%m-%d", "0001-01-01", "0001-01-01"),
    ("%Y-%m-%d", "9999-12-31", "9999-12-31"),
    ("%Y-%m-%d", "0000-01-01", NONE),
    ("%d %b %Y", "5 feb. 2024", "2024-02-05"),
    ("%d %B %Y", "05 February 2024", "2024-02-05"),
    ("%d %b %Y", "05 Xyz 2024", NONE),
    ("%d %B %Y", "5 SEPT 2024", "2024-09-05"),
    ("%d %B %Y", "5 may 2024", "2024-05-05"),
    ("%d %B %Y", "5 Mayhem 2024", NONE),
    ("%d %B %Y", "5 Januaryy 2024", NONE),
    ("%d %B %Y", "5 Marsh 2024", NONE),
    ("%Y%m%d", "20240205", "2024-02-05"),
    ("%m/%d/%Y %I:%M %p", "02/05/2024 12:30 am", "2024-02-05T00:30:00"),
    ("%m/%d/%Y %I:%M %p", "02/05/2024 12:30 PM", "2024-02-05T12:30:00"),
    ("%m/%d/%Y %I:%M %p", "02/05/2024 13:30 PM", NONE),
    ("%d.%m.%Y %H:%M:%S.%f", "05.02.2024 23:59:59.5", "2024-02-05T23:59:59.5"),
    ("%d.%m.%Y %H:%M:%S", "05.02.2024 23:59:60", NONE),
    ("%d.%m.%Y %H", "05.02.2024 24", NONE),
    ("%d.%m.%Y %H:%M%z", "05.02.2024 01:30+0200", "2024-02-04T23:30:00"),
    ("%d.%m.%Y %H:%M%z", "05.02.2024 01:30-02:30", "2024-02-05T04:00:00"),
    ("%d.%m.%Y %H:%M%z", "05.02.2024 01:30Z", "2024-02-05T01:30:00"),
    ("%d.%m.%Y %H:%M%z", "01.01.0001 00:30+01:00", NONE),
]


def texts(*values: Any) -> pd.Series:
    """Make a column of texts."""
    return pd.Series(list(values), dtype=object)


def transform(frame: pd.DataFrame, *steps: dict[str, Any], type_: contract.ColumnType = "string") -> pd.DataFrame:
    """Apply steps to a table of the one column `x`."""
    recipe = Recipe.model_validate_json(json.dumps({"steps": steps}))
    made = compiling.compile_recipe(recipe, columns=tables.columns(x=type_)).set_output(transform="pandas")
    made.fit(frame)
    result: pd.DataFrame = made.transform(frame)
    return result


@pytest.mark.parametrize(("date_format", "text", "expected"), READ)
def test_a_text_in_the_format_is_the_time_that_it_says(date_format: str, text: str, expected: str | None) -> None:
    made = date_texts.parse(texts(text, np.nan, text), date_format=date_formats.check(date_format))
    assert made.dtype == frames.dtype_of("timestamp")
    assert np.asarray(made.dt.tz_localize(None), dtype="datetime64[us]").astype(str).tolist() == (
        ["NaT"] * 3
        if expected is None
        else [f"{np.datetime64(expected, 'us')}", "NaT", f"{np.datetime64(expected, 'us')}"]
    )


def test_times_are_read_in_a_zone_and_those_that_its_clocks_leave_out_or_have_twice_are_none() -> None:
    values = texts("31.03.2024 01:59", "31.03.2024 02:30", "27.10.2024 02:30", "27.10.2024 03:00")
    made = date_texts.parse(values, date_format="%d.%m.%Y %H:%M", zone="Europe/Berlin")
    assert made.tolist() == [
        pd.Timestamp("2024-03-31T00:59Z"), pd.NaT, pd.NaT, pd.Timestamp("2024-10-27T02:00Z"),
    ]  # fmt: skip
    on_days = date_texts.parse(texts("31.03.2024"), date_format="%d.%m.%Y", zone="Europe/Berlin")
    assert on_days.tolist() == [pd.Timestamp("2024-03-31T00:00Z")]


def test_times_at_both_ends_of_the_calendar_are_read_and_written_in_every_zone() -> None:
    values = texts("0001-01-01 00:00", "0001-01-01 12:00", "9999-12-31 12:00", "9999-12-31 23:59", "2026-07-01 12:00")
    read = {
        zone: date_texts.parse(values, date_format="%Y-%m-%d %H:%M", zone=zone)
        for zone in ("Asia/Tokyo", "America/New_York")
    }
    assert read["Asia/Tokyo"].isna().tolist() == [True, False, False, False, False]
    assert read["America/New_York"].isna().tolist() == [False, False, False, True, False]
    assert read["Asia/Tokyo"].iloc[2:].tolist() == [
        pd.Timestamp("9999-12-31T03:00Z"), pd.Timestamp("9999-12-31T14:59Z"), pd.Timestamp("2026-07-01T03:00Z"),
    ]  # fmt: skip
    for zone, times in read.items():
        written = date_texts.write(times, date_format="%Y-%m-%d %H:%M", zone=zone)
        assert written[times.notna()].tolist() == values[times.notna()].tolist()
    ends = pd.Series(np.array(["0001-01-01", "9999-12-31T23:30"], "datetime64[us]")).dt.tz_localize("UTC")
    assert [
        date_texts.write(ends, date_format="%Y-%m-%d %H:%M%z", zone=zone).tolist()
        for zone in ("Asia/Tokyo", "America/New_York")
    ] == [
        ["0001-01-01 09:18+09:18", "10000-01-01 08:30+09:00"],
        ["0000-12-31 19:03-04:57", "9999-12-31 18:30-05:00"],
    ]


def test_a_time_that_is_before_the_year_1_in_utc_is_refused_by_its_row_or_missing() -> None:
    frame = pd.DataFrame({"x": texts("2024-02-05 00:00", "0001-01-01 00:00")})
    step = {"op": "parse_dates", "columns": ["x"], "format": "%Y-%m-%d %H:%M", "zone": "Europe/Berlin"}
    with pytest.raises(errors.BadDataError, match=r"'x' holds '0001-01-01 00:00' in row 2.*the years 1 to 9999 of UTC"):
        transform(frame, step)
    assert transform(frame, step | {"on_error": "null"})["x"].isna().tolist() == [False, True]


def test_the_first_misfit_is_named_by_column_value_and_row() -> None:
    frame = pd.DataFrame({"x": texts("05.02.2024", np.nan, "31.02.2024", "x")})
    step = {"op": "parse_dates", "columns": ["x"], "format": "dd.mm.yyyy"}
    with pytest.raises(errors.BadDataError, match=r"'x' holds '31.02.2024' in row 3, which is no date.*'%d.%m.%Y'"):
        transform(frame, step)
    with lost_values.counted() as losses:
        made = transform(frame, step | {"on_error": "null"})
    assert made["x"].isna().tolist() == [False, True, True, True]
    assert losses.describe(in_batches=False) == [
        "Column 'x' holds values that are no dates written like '%d.%m.%Y', such as '31.02.2024' in row 3: 2 became missing."  # noqa: E501
    ]


def test_cast_names_the_step_that_reads_other_formats_and_counts_what_it_loses() -> None:
    frame = pd.DataFrame({"x": texts("05.02.2024", "2024-02-05")})
    step = {"op": "cast", "columns": ["x"], "to": "date"}
    with pytest.raises(errors.BadDataError, match=r"'05.02.2024' in row 1.*parse_dates, with their `format`"):
        transform(frame, step)
    with lost_values.counted() as losses:
        transform(frame, step | {"on_error": "null"})
    assert losses.describe(in_batches=False) == [
        "Column 'x' holds values that can't be converted to date, such as '05.02.2024' in row 1: 1 became missing."
    ]


@pytest.mark.parametrize(
    ("steps", "column"),
    [
        ([{"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y"}], "x"),
        (
            [
                {"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y"},
                {"op": "date_parts", "columns": ["x"], "parts": ["week"]},
            ],
            "x_week",
        ),
        (
            [
                {"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y"},
                {"op": "derive", "name": "y", "expression": "days_between(time('2024-01-01'), x)"},
            ],
            "y",
        ),
    ],
)
def test_rows_one_by_one_are_read_as_all_at_once(steps: list[dict[str, Any]], column: str) -> None:
    frame = pd.DataFrame({"x": texts("05.02.2024", np.nan, "01.01.2027", "31.12.1999")})
    whole = transform(frame, *steps)
    single = pd.concat([transform(frame.iloc[[row]], *steps) for row in range(len(frame))])
    pd.testing.assert_frame_equal(single[[column]], whole[[column]])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"format": "%d.%m"}, "must have one year"),
        ({"format": "%d.%m.%Y %H:%M%z", "zone": "Asia/Tokyo"}, "has an offset"),
        ({"format": "%d.%m.%Y", "zone": "Mars/Base"}, "no time zone 'Mars/Base'"),
    ],
)
def test_a_format_that_makes_no_time_is_refused(step: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, errors.BadRecipeError), match=message):
        transform(pd.DataFrame({"x": texts("x")}), {"op": "parse_dates", "columns": ["x"]} | step)


@pytest.mark.parametrize(
    ("type_", "message"),
    [("integer", "cast to string first"), ("date", "is date already"), ("timestamp", "is timestamp already")],
)
def test_columns_that_hold_no_text_are_refused(type_: contract.ColumnType, message: str) -> None:
    step = {"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y"}
    with pytest.raises(errors.BadRecipeError, match=message):
        transform(pd.DataFrame({"x": pd.Series([1.0])}), step, type_=type_)


def test_the_parts_of_text_are_refused_with_the_step_that_reads_it() -> None:
    with pytest.raises(errors.BadRecipeError, match="which parse_dates makes of text"):
        transform(pd.DataFrame({"x": texts("x")}), {"op": "date_parts", "columns": ["x"]})


@pytest.mark.parametrize(
    ("date_format", "zone", "expected"),
    [
        ("yyyy-mm", "UTC", "0999-03"),
        ("%d %B %Y", "UTC", "05 March 0999"),
        ("%b %y", "UTC", "Mar 99"),
        ("%I:%M %p", "UTC", "12:07 AM"),
        ("%H:%M:%S.%f", "UTC", "00:07:08.000009"),
        ("%Y-%m-%dT%H:%M%z", "UTC", "0999-03-05T00:07+00:00"),
    ],
)
def test_times_are_written_in_a_format(date_format: str, zone: str, expected: str) -> None:
    moment = datetime.datetime(999, 3, 5, 0, 7, 8, 9, tzinfo=datetime.UTC)
    values = pd.Series([moment, None], dtype=frames.dtype_of("timestamp"))
    made = date_texts.write(values, date_format=date_formats.check_output(date_format), zone=zone)
    assert made.iloc[0] == expected
    assert np.isnan(made.iloc[1])


def test_times_are_written_in_a_zone_and_dates_are_the_same_day_in_each() -> None:
    frame = pd.DataFrame({"x": pd.Series(["2024-01-31T23:30Z"], dtype=frames.dtype_of("timestamp"))})
    step = {"op": "format_dates", "columns": ["x"], "format": "%Y-%m %H%z", "zone": "Asia/Kolkata"}
    assert transform(frame, step, type_="timestamp")["x"].tolist() == ["2024-02 05+05:30"]
    step["zone"] = "America/New_York"
    assert transform(frame, step, type_="timestamp")["x"].tolist() == ["2024-01 18-05:00"]
    days = frame.assign(x=frame["x"].dt.normalize())
    assert transform(days, step, type_="date")["x"].tolist() == ["2024-01 00+00:00"]


def test_what_is_written_is_read_again_and_comes_back_from_the_store(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": texts("05.02.2024 13:45", "31.12.1999 00:00")})
    steps = [
        {"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
        {"op": "format_dates", "columns": ["x"], "format": "%d.%m.%Y %H:%M", "zone": "Europe/Berlin"},
    ]
    recipe = Recipe.model_validate_json(json.dumps({"steps": steps}))
    made = (
        compiling.compile_recipe(recipe, columns=tables.columns(x="string")).set_output(transform="pandas").fit(frame)
    )
    artifacts.save(made, tmp_path / "a.skops")
    again = artifacts.load(tmp_path / "a.skops", sha256=digests.of_file(tmp_path / "a.skops"))
    pd.testing.assert_frame_equal(again.transform(frame), frame)


def test_a_format_to_write_needs_a_part_of_a_time() -> None:
    with pytest.raises(ValueError, match="no part of a date"):
        date_formats.check_output("x")
    with pytest.raises(ValueError, match="has %Q"):
        date_formats.check_output("%Q")


def test_a_file_of_dates_is_read_in_batches_with_one_note(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"x": ["1.2.2024", "x", "y", "2.2.2024"]}), tmp_path / "d.parquet")
    step = {"op": "parse_dates", "columns": ["x"], "format": "%d.%m.%Y", "on_error": "null"}
    with lost_values.counted() as losses:
        for frame in frames.iterate_frames(tmp_path / "d.parquet", batch_rows=2):
            transform_once(frame, step)
    assert "such as 'x' in row 2: 2 became missing" in losses.describe(in_batches=True)[0]
    assert "such as 'x' in row 2: 1 became missing" in losses.describe(in_batches=False)[0]


def transform_once(frame: pd.DataFrame, step: dict[str, Any]) -> None:
    """Apply a step once, without the transformation that fitting does."""
    recipe = Recipe.model_validate_json(json.dumps({"steps": [step]}))
    compiling.compile_recipe(recipe, columns=tables.columns(x="string")).set_output(transform="pandas").fit_transform(
        frame
    )
