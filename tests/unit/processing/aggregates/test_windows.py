"""Windows of time: which rows are in which, in calendars with summer time, and what rows before each row make."""

import datetime
import itertools
import random
import zoneinfo
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shared import errors
from tests.unit.processing.aggregates import cases

HOUR = 3_600_000_000
COUNT = [{"function": "count"}]


def at(text: str) -> int:
    """Return a time in microseconds since 1970."""
    moment = datetime.datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def times(*texts: str | None) -> Any:
    return "timestamp", [None if text is None else at(text) for text in texts]


def windows(folder: Path, data: Any, **window: Any) -> list[tuple[str, str, int]]:
    rows, _ = cases.run(folder, data, window={"time": "t", **window}, measures=COUNT)
    return [
        (f"{row['window_start']:%Y-%m-%dT%H:%M}", f"{row['window_end']:%Y-%m-%dT%H:%M}", row["count"]) for row in rows
    ]


def test_a_window_begins_at_its_start_and_ends_before_its_end(tmp_path: Path) -> None:
    data = cases.table(
        t=times("2026-01-01T00:00", "2026-01-01T23:59:59.999999", "2026-01-02T00:00", None, "1969-12-31T23:00")
    )
    assert windows(tmp_path, data, every="1d") == [
        ("1969-12-31T00:00", "1970-01-01T00:00", 1),
        ("2026-01-01T00:00", "2026-01-02T00:00", 2),
        ("2026-01-02T00:00", "2026-01-03T00:00", 1),
    ]
    _, made = cases.run(tmp_path, data, window={"time": "t", "every": "1d"}, measures=COUNT)
    assert made.without_time == 1
    assert made.notes == ["1 of 5 rows have no 't', and are in no window."]


@pytest.mark.parametrize(
    ("every", "options", "start", "end"),
    [
        ("90min", {}, "2026-05-13T12:00", "2026-05-13T13:30"),
        ("6h", {"origin": "2026-05-13"}, "2026-05-13T12:00", "2026-05-13T18:00"),
        ("1w", {}, "2026-05-11T00:00", "2026-05-18T00:00"),
        ("7d", {"origin": "2026-05-20"}, "2026-05-13T00:00", "2026-05-20T00:00"),
        ("1mo", {}, "2026-05-01T00:00", "2026-06-01T00:00"),
        ("3mo", {}, "2026-04-01T00:00", "2026-07-01T00:00"),
        ("1mo", {"origin": "2020-02-14"}, "2026-04-14T00:00", "2026-05-14T00:00"),
        ("1y", {}, "2026-01-01T00:00", "2027-01-01T00:00"),
        ("1d", {"timezone": "America/New_York"}, "2026-05-13T04:00", "2026-05-14T04:00"),
    ],
)
def test_windows_follow_the_calendar(every: str, options: Any, start: str, end: str, tmp_path: Path) -> None:
    data = cases.table(t=times("2026-05-13T12:34:56"))
    assert windows(tmp_path, data, every=every, **options) == [(start, end, 1)]


def test_days_have_23_or_25_hours_where_the_clock_is_changed(tmp_path: Path) -> None:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    begin = at("2026-03-27T23:00")
    data = cases.table(t=("timestamp", [begin + hour * HOUR for hour in range(24 * 240)]))
    found = windows(tmp_path, data, every="1d", timezone="Europe/Berlin")
    local = pd.to_datetime(data.column("t").to_pandas()).dt.tz_convert(zone).dt.date.value_counts().sort_index()
    assert [rows for _, _, rows in found] == local.tolist()
    assert {rows for _, _, rows in found[1:-1]} == {23, 24, 25}
    assert found[1][:2] == ("2026-03-28T23:00", "2026-03-29T22:00")


@pytest.mark.parametrize(
    ("zone", "day", "start", "end"),
    [
        ("America/Havana", "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00", "2026-10-26T01:00"),
    ],
)
def test_a_day_begins_at_the_first_of_two_midnights(zone: str, day: str, start: str, end: str, tmp_path: Path) -> None:
    begin = at(f"{day}T00:00") - 12 * HOUR
    data = cases.table(t=("timestamp", [begin + minutes * HOUR // 60 for minutes in range(0, 48 * 60, 30)]))
    rows, _ = cases.run(
        tmp_path,
        data,
        window={"time": "t", "every": "1d", "timezone": zone},
        measures=[{"function": name, "column": "t"} for name in ("min", "max", "count")],
    )
    assert f"{rows[1]['window_start']:%Y-%m-%dT%H:%M}" == start
    assert f"{rows[1]['window_end']:%Y-%m-%dT%H:%M}" == end
    assert rows[1]["t_count"] == 50
    for row, next_row in itertools.pairwise(rows):
        assert row["window_start"] <= row["t_min"] <= row["t_max"] < row["window_end"] == next_row["window_start"]


def test_dates_make_windows_of_dates(tmp_path: Path) -> None:
    data = cases.table(t=("date", [0, 30, 31, -1]))
    rows, _ = cases.run(tmp_path, data, window={"time": "t", "every": "1mo"}, measures=COUNT)
    assert [tuple(map(str, row.values())) for row in rows] == [
        ("1969-12-01", "1970-01-01", "1"),
        ("1970-01-01", "1970-02-01", "2"),
        ("1970-02-01", "1970-03-01", "1"),
    ]
    for window in ({"every": "1h"}, {"every": "1d", "timezone": "UTC"}):
        with pytest.raises(errors.BadDataError, match="holds dates"):
            cases.run(tmp_path, data, window={"time": "t", **window}, measures=COUNT)


@pytest.mark.parametrize("day", [2932896, -719162])
@pytest.mark.parametrize("every", ["1mo", "1w", "9000y"])
def test_windows_beyond_what_a_column_holds_are_an_error(day: int, every: str, tmp_path: Path) -> None:
    for data in (cases.table(t=("date", [day])), cases.table(t=("timestamp", [day * 24 * HOUR]))):
        window = {"time": "t", "every": every, "origin": "0002-12-25"}
        with pytest.raises(errors.BadDataError, match="before the year 1 or end after 9999"):
            cases.run(tmp_path, data, window=window, measures=COUNT)


def test_a_row_is_in_each_sliding_window_that_holds_it(tmp_path: Path) -> None:
    dice = random.Random(5)
    data = cases.table(
        g=("string", [dice.choice(["a", None]) for _ in range(60)]),
        t=("timestamp", [at("2026-01-01") + dice.randrange(20 * 24) * HOUR for _ in range(60)]),
        x=("integer", [dice.choice([None, 1, 2, 3, 50]) for _ in range(60)]),
    )
    measures = [{"function": name, "column": "x"} for name in ("sum", "median", "count_distinct", "last")]
    rows, _ = cases.run(
        tmp_path, data, by=["g"], window={"time": "t", "every": "2d", "length": "6d"}, measures=measures
    )
    source = data.to_pylist()
    day = datetime.timedelta(days=1)
    starts = {(row["t"].replace(hour=0) - offset * day) for row in source for offset in range(-1, 7)}
    expected = {}
    for start in starts:
        if (start - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)).days % 2:
            continue
        for group in ("a", None):
            held = [row for row in source if row["g"] == group and start <= row["t"] < start + 6 * day]
            values = [row["x"] for row in held if row["x"] is not None]
            if held:
                last = max(
                    ((row["t"], place, row["x"]) for place, row in enumerate(source) if row in held and row["x"]),
                    default=(0, 0, None),
                )[2]
                median = float(pd.Series(values).median()) if values else None
                expected[group, start] = (
                    start + 6 * day,
                    sum(values) if values else None,
                    median,
                    len(set(values)),
                    last,
                )
    assert {(row["g"], row["window_start"]): tuple(row.values())[2:] for row in rows} == expected
    assert len(rows) == len(expected)
    keys = [(row["g"] is None, row["window_start"]) for row in rows]
    assert keys == sorted(keys)


@pytest.mark.parametrize("include_row", [False, True])
def test_each_row_has_measures_of_those_before_it_as_pandas_has(include_row: bool, tmp_path: Path) -> None:
    dice = random.Random(include_row)
    places = dice.sample(range(2000), 120)
    data = cases.table(
        who=("integer", [dice.choice([2**53, 2**53 + 1]) for _ in places]),
        t=("timestamp", [place * HOUR for place in places]),
        x=("number", [dice.choice([None, dice.gauss(0, 10)]) for _ in places]),
    )
    names = ["sum", "mean", "std", "min", "max", "count"]
    rows, made = cases.run(
        tmp_path,
        data,
        by=["who"],
        window={"time": "t", "length": "30d", "include_row": include_row},
        measures=[{"function": name, "column": "x"} for name in names],
    )
    assert made.table.rows == 120
    frame = data.to_pandas().reset_index().sort_values("t").set_index("t")
    rolling = frame.groupby("who")["x"].rolling("30D", closed="right" if include_row else "left", min_periods=1)
    for name in names:
        # pandas leaves a count of nothing missing.
        wanted = getattr(rolling, name)()
        by_place = dict(zip(wanted.index, wanted, strict=True))
        for row in rows:
            value, expected = row[f"x_{name}"], by_place[row["who"], pd.Timestamp(row["t"])]
            if pd.isna(expected):
                assert value in (None, 0), name
            else:
                assert value == pytest.approx(expected, rel=1e-9, abs=1e-9), name
    assert [row["x"] for row in rows] == data.column("x").to_pylist()


def test_rows_of_one_time_tell_each_other_nothing(tmp_path: Path) -> None:
    data = cases.table(
        t=("timestamp", [HOUR, HOUR, 0, None, 25 * HOUR, 25 * HOUR + 1]), x=("integer", [1, 2, 4, 8, 16, 32])
    )
    measures = [{"function": "sum", "column": "x"}, {"function": "count"}]
    sums = {}
    for include in (False, True):
        rows, made = cases.run(
            tmp_path, data, window={"time": "t", "length": "1d", "include_row": include}, measures=measures
        )
        sums[include] = [(row["x_sum"], row["count"]) for row in rows]
    # A row looks back on [t - 1d, t), or with itself on (t - 1d, t].
    assert sums[False] == [(4, 1), (4, 1), (None, 0), (None, None), (3, 2), (16, 1)]
    assert sums[True] == [(5, 2), (6, 2), (4, 1), (None, None), (16, 1), (48, 2)]
    assert made.notes == ["1 of 6 rows have no 't', and have no measures, and count for no other row."]


@pytest.mark.parametrize(("length", "rows_before"), [("1h", 60), ("90min", 90), ("600s", 10), ("2d", 2880)])
def test_many_rows_look_back_by_minutes_and_hours(length: str, rows_before: int, tmp_path: Path) -> None:
    rows = 3_000
    data = cases.table(t=("timestamp", [row * HOUR // 60 for row in range(rows)]))
    made, _ = cases.run(tmp_path, data, window={"time": "t", "length": length}, measures=COUNT)
    assert [row["count"] for row in made] == [min(row, rows_before) for row in range(rows)]


def test_conditions_choose_which_rows_before_count(tmp_path: Path) -> None:
    data = cases.table(t=("date", [1, 2, 3]), x=("integer", [1, 2, 3]), kind=("string", ["in", "out", "in"]))
    rows, _ = cases.run(
        tmp_path,
        data,
        window={"time": "t", "length": "30d"},
        measures=[{"function": "sum", "column": "x", "where": "kind == 'out'", "name": "outs"}],
    )
    assert [row["outs"] for row in rows] == [None, None, 2]
    assert list(rows[0]) == ["t", "x", "kind", "outs"]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({}, "needs `every`"),
        ({"every": "1x"}, "no length of time"),
        ({"every": "0d"}, "no length of time"),
        ({"every": "2d", "length": "3d"}, "multiple of `every`"),
        ({"every": "1d", "length": "1mo"}, "multiple of `every`"),
        ({"every": "1s", "length": "1h"}, "3,600 windows"),
        ({"every": "1h", "timezone": "Europe/Berlin"}, "hours are the same everywhere"),
        ({"every": "1d", "timezone": "Europe/Berln'"}, "no time zone"),
        ({"every": "1d", "timezone": "localtime"}, "no time zone"),
        ({"every": "999999y"}, "at most 9,999 years"),
        ({"every": "1y", "length": "119989mo"}, "at most 9,999 years"),
        ({"every": "1mo", "origin": "2026-01-31"}, "up to the 28th"),
        *(
            ({"every": every, "origin": "2026-02-31"}, "there is no day 2026-02-31")
            for every in ("1h", "1d", "1w", "1mo")
        ),
        ({"every": "1d", "origin": "0000-01-01"}, "there is no day 0000-01-01"),
        ({"length": "1mo"}, "months have several lengths"),
        ({"length": "1d", "timezone": "UTC"}, "with `every`"),
        ({"every": "1d", "include_row": True}, "before each row"),
    ],
)
def test_windows_that_can_not_be_are_refused(window: Any, said: str, tmp_path: Path) -> None:
    data = cases.table(t=times("2026-05-13T12:34:56"))
    with pytest.raises(ValueError, match=said):
        cases.run(tmp_path, data, window={"time": "t", **window}, measures=COUNT)
