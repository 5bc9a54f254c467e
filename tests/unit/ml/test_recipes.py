"""Recipes become transformers, step by step, or say why they can't."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import contract, errors
from shared.ml import frames
from shared.ml.recipes import compiling
from shared.recipe import planner
from shared.recipe.language import Recipe
from tests.unit.ml import tables

TYPES = tables.columns(age="integer", weight="number", member="boolean", town="string", joined="date", seen="timestamp")
Steps = Sequence[dict[str, Any]]
NAMES = [column.name for column in TYPES]


def read(steps: Steps) -> Recipe:
    """Read a recipe as the API does."""
    return Recipe.model_validate_json(json.dumps({"steps": list(steps)}))


def apply(steps: Steps, frame: pd.DataFrame, types: list[contract.Column]) -> pd.DataFrame:
    """Fit a recipe on a frame and give what it makes of it."""
    made = compiling.compile_recipe(read(steps), columns=types).set_output(transform="pandas")
    result: pd.DataFrame = made.fit(frame).transform(frame)
    assert list(made.get_feature_names_out()) == list(result.columns)
    return result


def one(steps: Steps, kind: contract.ColumnType, values: list[Any]) -> pd.DataFrame:
    """Apply a recipe to a table of the one column `x`."""
    frame = pd.DataFrame({"x": pd.Series(values, dtype=frames.dtype_of(kind))})
    return apply(steps, frame, tables.columns(x=kind))


@pytest.mark.parametrize(
    ("strategy", "filled"), [("mean", 3.0), ("median", 2.0), ("most_frequent", 1.0), ("constant", 9.0)]
)
def test_impute_fills_numbers(strategy: str, filled: float) -> None:
    step = {"op": "impute", "columns": ["x"], "strategy": strategy} | ({"value": 9} if strategy == "constant" else {})
    assert one([step], "number", [1, 1, 3, 7, np.nan])["x"].tolist()[-1] == filled


def test_impute_fills_text() -> None:
    frequent = one([{"op": "impute", "columns": ["x"], "strategy": "most_frequent"}], "string", ["a", "b", "b", np.nan])
    assert frequent["x"].tolist() == ["a", "b", "b", "b"]
    constant = {"op": "impute", "columns": "categorical", "strategy": "constant", "value": "?"}
    assert one([constant], "string", ["a", np.nan])["x"].tolist() == ["a", "?"]


def test_an_indicator_says_which_values_were_missing_even_when_other_steps_come_first() -> None:
    steps: Steps = [
        {"op": "log1p", "columns": ["x"]},
        {"op": "impute", "columns": ["x"], "strategy": "constant", "value": 5, "indicator": True},
    ]
    made = one(steps, "number", [0, np.nan])
    assert made.to_dict("list") == {"x": [0.0, 5.0], "x_missing": [0.0, 1.0]}


def test_a_column_without_any_value_keeps_its_place() -> None:
    assert one([{"op": "impute", "columns": ["x"]}], "number", [np.nan, np.nan])["x"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("method", "expected"),
    [("standard", [-1.0, 1.0, 0.0]), ("min_max", [0.0, 1.0, 0.5]), ("robust", [-1.0, 1.0, 0.0])],
)
def test_scale_brings_numbers_to_a_common_scale(method: str, expected: list[float]) -> None:
    made = one([{"op": "scale", "columns": ["x"], "method": method}], "integer", [2, 6, 4])["x"]
    factor = np.sqrt(1.5) if method == "standard" else 1.0
    np.testing.assert_allclose(made, np.multiply(expected, factor))


def test_one_hot_makes_a_column_of_each_category_and_zeros_of_an_unseen_one() -> None:
    made = compiling.compile_recipe(read([{"op": "one_hot", "columns": ["x"]}]), columns=tables.columns(x="string"))
    made.fit(pd.DataFrame({"x": ["a", "b", np.nan]}, dtype=object))
    assert list(made.get_feature_names_out()) == ["x_a", "x_b", "x_nan"]
    new = pd.DataFrame({"x": ["b", "c", np.nan]}, dtype=object)
    assert made.transform(new).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_one_hot_puts_rare_categories_into_one_column() -> None:
    values = ["a"] * 5 + ["b"] * 3 + ["c", "d"]
    made = one([{"op": "one_hot", "columns": ["x"], "max_categories": 3}], "string", values)
    assert list(made.columns) == ["x_a", "x_b", "x_infrequent_sklearn"]
    assert made["x_infrequent_sklearn"].sum() == 2


def test_ordinal_numbers_categories_in_the_order_given_and_an_unseen_one_as_minus_one() -> None:
    made = one([{"op": "ordinal", "columns": ["x"], "categories": ["low", "high"]}], "string", ["high", "low", "odd"])
    assert made["x"].tolist() == [1.0, 0.0, -1.0]
    assert one([{"op": "ordinal", "columns": ["x"]}], "string", ["b", "a", "b"])["x"].tolist() == [1.0, 0.0, 1.0]


def test_log1p_refuses_what_is_below_zero_and_leaves_what_is_missing() -> None:
    assert one([{"op": "log1p", "columns": ["x"]}], "number", [0, np.e - 1])["x"].tolist() == [0.0, 1.0]
    assert np.isnan(one([{"op": "log1p", "columns": ["x"]}], "number", [np.nan, 1.0])["x"].iloc[0])
    with pytest.raises(errors.BadDataError, match="column 'x' holds -2"):
        one([{"op": "log1p", "columns": ["x"]}], "number", [1, -2])


def test_log1p_after_another_step_still_names_the_column() -> None:
    steps = [{"op": "impute", "columns": ["x"]}, {"op": "log1p", "columns": ["x"]}]
    with pytest.raises(errors.BadDataError, match="column 'x' holds -2"):
        one(steps, "number", [1, -2])


def test_date_parts_are_taken_in_utc_and_missing_where_the_date_is() -> None:
    parts = ["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]
    instant = pd.Timestamp("2026-12-31T23:30:00-02:00")
    made = one([{"op": "date_parts", "columns": ["x"], "parts": parts}], "timestamp", [instant, pd.NaT])
    assert list(made.columns) == [f"x_{part}" for part in parts]
    assert made.iloc[0].tolist() == [2027, 1, 1, 4, 1, 30, 1]
    assert made.iloc[1].isna().all()
    assert (made.dtypes == np.float64).all()


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2027-01-01T00:00:00", [53, 2026, 0, 1, 0]),
        ("2024-12-30T23:59:59", [1, 2025, 0, 0, 0]),
        ("2024-02-29T12:00:00", [9, 2024, 0, 0, 1]),
        ("2023-02-28T12:00:00", [9, 2023, 0, 0, 1]),
        ("1969-08-31T00:00:00.25", [35, 1969, 1, 0, 1]),
        ("9999-12-31T00:00:00", [52, 9999, 0, 0, 1]),
    ],
)
def test_weeks_flags_and_seconds_of_dates(moment: str, expected: list[float]) -> None:
    parts = ["week", "iso_year", "is_weekend", "is_month_start", "is_month_end", "epoch_seconds"]
    values = [pd.Timestamp(moment, tz="UTC"), pd.NaT]
    made = one([{"op": "date_parts", "columns": ["x"], "parts": parts}], "timestamp", values)
    seconds = (datetime.datetime.fromisoformat(moment) - datetime.datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001
    assert made.iloc[0].tolist() == [*expected, seconds]
    assert made.iloc[1].isna().all()
    assert (made.dtypes == np.float64).all()
    for part in parts:
        derived = one([{"op": "derive", "name": "y", "expression": f"{part}(x)"}], "timestamp", values)["y"]
        np.testing.assert_array_equal(derived, made[f"x_{part}"])


def test_flags_of_dates_are_those_of_the_zone() -> None:
    values = [pd.Timestamp("2024-02-29T23:30Z")]
    parts = ["is_month_start", "is_month_end", "epoch_seconds"]
    step = {"op": "date_parts", "columns": ["x"], "parts": parts, "zone": "Europe/Berlin"}
    assert one([step], "timestamp", values).iloc[0].tolist() == [1, 0, values[0].timestamp()]
    assert one([step], "date", [values[0].normalize()]).iloc[0].tolist() == [0, 1, values[0].normalize().timestamp()]


def test_steps_are_done_in_order() -> None:
    steps: Steps = [
        {"op": "impute", "columns": ["x"], "strategy": "constant", "value": 3},
        {"op": "log1p", "columns": ["x"]},
        {"op": "scale", "columns": ["x"], "method": "min_max"},
    ]
    assert one(steps, "number", [0, 1, np.nan])["x"].tolist() == [0.0, 0.5, 1.0]


def test_columns_keep_their_order_and_those_that_no_step_names_pass_through(tmp_path: Path) -> None:
    frame = frames.read_frame(tables.mixed(tmp_path / "d.parquet"), columns=NAMES)
    made = apply([{"op": "drop", "columns": ["weight"]}, {"op": "one_hot", "columns": ["town"]}], frame, TYPES)
    assert list(made.columns) == [
        "age", "member", "joined", "seen", "town_Bergen", "town_Bodø", "town_Oslo", "town_nan",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(made[["age", "joined"]], frame[["age", "joined"]])


def test_selectors_stand_for_the_types_in_the_dataset_whatever_was_made_of_them(tmp_path: Path) -> None:
    frame = frames.read_frame(tables.mixed(tmp_path / "d.parquet"), columns=NAMES)
    steps: Steps = [
        {"op": "drop", "columns": ["seen"]},
        {"op": "ordinal", "columns": "categorical"},
        {"op": "date_parts", "columns": "temporal", "parts": ["year"]},
        {"op": "impute", "columns": "numeric", "strategy": "constant", "value": -5},
    ]
    made = apply(steps, frame, TYPES)
    assert list(made.columns) == ["age", "weight", "member", "town", "joined_year"]
    assert (made[["age", "weight", "member"]] == -5).any().all()
    assert made["town"].isna().any()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"op": "scale", "columns": ["wieght"]}], r"step 1 \(scale\): there is no column 'wieght'.*'weight'"),
        (
            [{"op": "drop", "columns": ["age"]}, {"op": "impute", "columns": ["age"]}],
            r"step 2 \(impute\): column 'age' was dropped by step 1",
        ),
        ([{"op": "scale", "columns": ["town"]}], "column 'town' is categorical; scale needs numbers"),
        ([{"op": "log1p", "columns": "categorical"}], "column 'town' is categorical; log1p needs numbers"),
        ([{"op": "impute", "columns": ["town"]}], "column 'town' is categorical; use the strategy most_frequent"),
        ([{"op": "impute", "columns": ["joined"]}], "column 'joined' is temporal; do date_parts first"),
        ([{"op": "one_hot", "columns": ["seen"]}], "column 'seen' is temporal; do date_parts first"),
        ([{"op": "date_parts", "columns": ["age"]}], "column 'age' is numeric; date_parts needs a timestamp"),
        ([{"op": "ordinal", "columns": ["age"], "categories": ["1"]}], "column 'age' is numeric; `categories`"),
        ([{"op": "impute", "columns": ["age"], "strategy": "constant"}], "constant needs `value`"),
        ([{"op": "impute", "columns": ["age"], "strategy": "constant", "value": "x"}], "numeric, but `value` is 'x'"),
        ([{"op": "impute", "columns": ["town"], "strategy": "constant", "value": 1}], "is text, but `value` is 1"),
        ([{"op": "drop", "columns": NAMES}], "drops every column"),
    ],
)
def test_a_step_that_does_not_fit_the_data_is_refused(steps: Steps, message: str) -> None:
    with pytest.raises(errors.BadRecipeError, match=message):
        compiling.compile_recipe(read(steps), columns=TYPES)


def test_a_refusal_points_at_the_step() -> None:
    with pytest.raises(errors.BadRecipeError) as caught:
        compiling.compile_recipe(read([{"op": "drop", "columns": ["age"]}] * 2), columns=TYPES)
    assert caught.value.pointer == "#/params/recipe/steps/1"


def test_text_and_dates_that_would_reach_an_estimator_are_named() -> None:
    steps = read([{"op": "impute", "columns": ["town"], "strategy": "most_frequent"}])
    with pytest.raises(errors.BadRecipeError, match=r"'town' \(string\), 'joined' \(date\), 'seen' \(timestamp\)"):
        compiling.compile_recipe(steps, columns=TYPES, numbers_only=True)


def test_used_columns_leave_out_the_dropped_and_passed_columns_are_the_untouched() -> None:
    wanted = read([{"op": "drop", "columns": ["seen"]}, {"op": "scale", "columns": "numeric"}])
    assert [c.name for c in compiling.list_used_columns(wanted, columns=TYPES)] == NAMES[:-1]
    passed = {slot.raw for slot in planner.make_plan(wanted, columns=TYPES).outputs if slot.raw}
    assert passed == {"town", "joined"}
