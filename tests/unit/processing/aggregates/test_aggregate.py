"""Measures of groups: their values are pandas', whole numbers are exact, and missing values are left out."""

import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shared import errors
from shared.processing.measures import Function
from tests.unit.processing.aggregates import cases

FUNCTIONS: list[Function] = ["sum", "mean", "std", "var", "min", "max", "median", "count", "count_distinct"]
PANDAS = {"count_distinct": "nunique"}


def measure(function: str, column: str | None = "x", **options: Any) -> dict[str, Any]:
    return {"function": function, **({"column": column} if column else {}), **options}


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_the_values_are_those_of_pandas(kind: Any, tmp_path: Path) -> None:
    dice = random.Random(kind)
    values = [dice.randint(-50, 50) if kind == "integer" else dice.gauss(0, 1e6) for _ in range(200)]
    data = cases.table(
        g=("string", [dice.choice(["a", "b", "é", None]) for _ in range(200)]),
        x=(kind, [None if dice.random() < 0.3 else value for value in values]),
    )
    measures = [measure(function) for function in FUNCTIONS] + [measure("quantile", quantile=0.9)]
    rows, made = cases.run(tmp_path, data, by=["g"], measures=measures)
    frame = data.to_pandas()
    assert [row["g"] for row in rows] == ["a", "b", "é", None]
    for row in rows:
        series = frame.loc[frame["g"].isna() if row["g"] is None else frame["g"] == row["g"], "x"]
        for function in FUNCTIONS:
            expected = getattr(series, PANDAS.get(function, function))()
            assert row[f"x_{function}"] == pytest.approx(expected, rel=1e-9), function
        assert row["x_q90"] == pytest.approx(series.quantile(0.9), rel=1e-9)
    assert "rows have no 'g'; they are a group of their own." in made.notes[0]


def test_groups_without_values_are_there_and_missing_is_no_zero(tmp_path: Path) -> None:
    data = cases.table(g=("boolean", [True, False, True]), x=("number", [None, 1.0, math.nan]))
    names = [*FUNCTIONS, "mode", "first", "last"]
    rows, _ = cases.run(tmp_path, data, by=["g"], measures=[*(measure(name) for name in names), measure("count", None)])
    empty = rows[1]
    assert (empty["g"], empty["count"], empty["x_count"], empty["x_count_distinct"]) == (True, 2, 0, 0)
    assert {empty[f"x_{name}"] for name in names if "count" not in name} == {None}
    assert rows[0]["x_std"] is None
    assert rows[0]["x_sum"] == rows[0]["x_mode"] == 1.0


def test_whole_numbers_are_exact_and_a_sum_beyond_64_bits_is_an_error(tmp_path: Path) -> None:
    big = 2**53 + 1
    data = cases.table(g=("integer", [big, big - 1, big]), x=("integer", [big, big, 2**62]))
    rows, _ = cases.run(tmp_path, data, by=["g"], measures=[measure(name) for name in ("sum", "max", "mode", "last")])
    assert rows == [
        {"g": big - 1, "x_sum": big, "x_max": big, "x_mode": big, "x_last": big},
        {"g": big, "x_sum": big + 2**62, "x_max": 2**62, "x_mode": big, "x_last": 2**62},
    ]
    too_large = cases.table(x=("integer", [2**62, 2**62]))
    with pytest.raises(errors.BadDataError, match="'x_sum' can't hold a value as integer"):
        cases.run(tmp_path, too_large, measures=[measure("sum")])


def test_sums_of_fractions_lose_nothing_to_what_was_added_before(tmp_path: Path) -> None:
    data = cases.table(x=("number", [1.0, *[1e-16] * 10_000]))
    rows, _ = cases.run(tmp_path, data, measures=[measure("sum"), measure("mean")])
    assert rows[0]["x_sum"] == pytest.approx(1.0 + 1e-12, rel=1e-15)
    assert rows[0]["x_mean"] == pytest.approx((1.0 + 1e-12) / 10_001, rel=1e-15)


@pytest.mark.parametrize("function", ["sum", "mean", "var"])
def test_what_is_infinite_is_an_error_by_its_name(function: str, tmp_path: Path) -> None:
    data = cases.table(x=("number", [1e308, -1e308, 1e308] if function == "var" else [1e308, 1e308]))
    with pytest.raises(errors.BadDataError, match=f"'x_{function}' is infinite in a group"):
        cases.run(tmp_path, data, measures=[measure("count"), measure(function)])


def test_first_last_and_mode_are_determined(tmp_path: Path) -> None:
    data = cases.table(
        g=("integer", [1] * 6),
        x=("string", ["b", None, "a", "c", "a", "b"]),
        at=("date", [3, 1, 2, 2, 9, 9]),
        o=("number", [None, 0.0, 2.0, 1.0, 3.0, math.nan]),
    )
    measures = [
        measure("first"),
        measure("last"),
        measure("first", order="at", name="earliest"),
        measure("last", order="at", name="latest"),
        measure("first", order="o", name="least"),
        measure("last", order="o", name="most"),
        measure("mode"),
    ]
    rows, _ = cases.run(tmp_path, data, by=["g"], measures=measures)
    assert list(rows[0].values()) == [1, "b", "b", "a", "b", "c", "a", "a"]


def test_conditions_are_those_of_recipes(tmp_path: Path) -> None:
    data = cases.table(
        group=("string", ["a", "a", "b", "b"]),
        x=("integer", [2**53 + 1, 5, None, 7]),
        y=("string", ["in", "out", "in", None]),
    ).rename_columns(["the group", "x", "y"])
    measures = [
        measure("sum", where="y == 'in'", name="sum in"),
        measure("count", None, where="y == 'in'", name="rows in"),
        measure("count", None, where="x > 9007199254740992", name="large"),
        measure("median", where="y != 'in'", name="median out"),
        measure("mode", where="y == 'out'"),
        measure("last", where="y == 'in'", name="last in"),
        measure("count"),
    ]
    rows, _ = cases.run(tmp_path, data, by=["the group"], measures=measures)
    assert [list(row.values()) for row in rows] == [
        ["a", 2**53 + 1, 1, 1, 5.0, 5, 2**53 + 1, 2],
        ["b", None, 1, 0, None, None, None, 1],
    ]


def test_a_condition_s_whole_numbers_are_exact_whatever_other_rows_hold(tmp_path: Path) -> None:
    for others in ([], [2**60]):
        data = cases.table(a=("integer", [94906267, *others]), b=("integer", [94906267, *others]))
        measure = {"function": "count", "where": "a * b % 2 == 1", "name": "odd"}
        rows, _ = cases.run(tmp_path, data, measures=[measure])
        assert rows == [{"odd": 1}]


def test_without_groups_all_rows_are_one_even_none(tmp_path: Path) -> None:
    data = cases.table(x=("integer", [3, 1, 2]))
    measures = [measure("count", None), measure("median"), measure("mode"), measure("sum")]
    rows, _ = cases.run(tmp_path, data, measures=measures)
    assert rows == [{"count": 3, "x_median": 2.0, "x_mode": 1, "x_sum": 6}]
    rows, _ = cases.run(tmp_path, data.slice(0, 0), measures=measures)
    assert rows == [{"count": 0, "x_median": None, "x_mode": None, "x_sum": None}]
    rows, _ = cases.run(tmp_path, data.slice(0, 0), by=["x"], measures=measures[:1])
    assert rows == []


def test_what_is_true_is_counted_and_dates_have_extremes(tmp_path: Path) -> None:
    data = cases.table(b=("boolean", [True, None, True, False]), d=("date", [3, 1, None, 2]))
    measures = [measure(name, "b") for name in ("sum", "mean", "max")] + [measure(name, "d") for name in ("min", "max")]
    rows, _ = cases.run(tmp_path, data, measures=measures)
    assert [str(value) for value in rows[0].values()] == ["2", "0.6666666666666666", "True", "1970-01-02", "1970-01-04"]


def test_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    dice = random.Random(3)
    data = cases.table(
        g=("integer", [dice.randint(0, 99) for _ in range(5000)]), x=("number", [dice.random() for _ in range(5000)])
    )
    digests = {
        cases.run(tmp_path, data, by=["g"], measures=[measure(name) for name in FUNCTIONS])[1].table.sha256
        for _ in range(2)
    }
    assert len(digests) == 1


def test_names_that_differ_by_case_alone_are_different_columns(tmp_path: Path) -> None:
    data = cases.table(a=("integer", [1, 1]), A=("integer", [2, 3]))
    rows, _ = cases.run(tmp_path, data, by=["a"], measures=[measure("sum", "A"), measure("sum", "a")])
    assert rows == [{"a": 1, "A_sum": 5, "a_sum": 2}]
    assert pd.DataFrame(rows).shape == (1, 3)
