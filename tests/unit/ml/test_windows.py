"""Lags and windows see strictly earlier rows of their group, and never the future."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared.ml.recipes import compiling
from shared.recipe.language import Recipe
from tests.unit.ml import tables

TYPES = tables.columns(x="number", word="string", shop="string", at="timestamp", turn="number")
FUNCTIONS = ["mean", "sum", "min", "max", "std", "median", "count"]
LAG = {"op": "lag", "columns": ["x", "word"], "by": ["shop"], "order": "at", "lags": [1, 3]}
ROWS = {"op": "rolling", "columns": ["x"], "by": ["shop"], "order": "at", "window": 3, "functions": FUNCTIONS}
DAYS = ROWS | {"window": 2, "unit": "days"}


def prepare(frame: pd.DataFrame, *steps: dict[str, Any]) -> pd.DataFrame:
    """Do steps on a whole table."""
    wanted = Recipe.model_validate_json(json.dumps({"steps": steps}))
    return compiling.prepare(frame, wanted, columns=TYPES)


def table(rows: int, *, seed: int = 0, days: int = 20) -> pd.DataFrame:
    """Make a table in no order, with ties, and with gaps everywhere."""
    dice = np.random.default_rng(seed)
    at = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(dice.integers(0, days * 4, rows) * 6, unit="h")
    frame = pd.DataFrame(
        {
            "x": dice.normal(size=rows).round(3),
            "word": pd.Series(dice.choice(["a", "b", "c"], rows), dtype=object),
            "shop": pd.Series(dice.choice(["north", "south"], rows), dtype=object),
            "at": pd.Series(at).astype("datetime64[us, UTC]"),
            "turn": dice.integers(0, 30, rows).astype(float),
        }
    )
    for place, name in enumerate(frame.columns):
        frame.loc[place::13, name] = np.nan
    return frame


@pytest.mark.parametrize("step", [LAG, ROWS, DAYS, LAG | {"by": []}, LAG | {"order": "turn"}], ids=str)
def test_changing_the_future_changes_nothing(step: dict[str, Any]) -> None:
    frame = table(120)
    made = prepare(frame, step)
    new = [name for name in made.columns if name not in frame]
    order = frame[step["order"]]
    for moment in sorted(order.dropna().unique())[5::9]:
        changed = frame.copy()
        later = ~(order < moment)
        changed.loc[later, "x"] = 1e6
        changed.loc[later, "word"] = "future"
        again = prepare(changed, step)
        # Rows of that very moment see strictly earlier ones only, so they don't change either.
        same = (order <= moment).to_numpy()
        pd.testing.assert_frame_equal(made.loc[same, new], again.loc[same, new])
        without = prepare(frame[~(order > moment)], step)
        pd.testing.assert_frame_equal(made.loc[same, new], without.loc[frame.index[same], new])


@pytest.mark.parametrize("seed", range(3))
def test_the_results_are_those_of_looking_at_each_row_by_itself(seed: int) -> None:
    frame = table(60, seed=seed, days=6)
    made = prepare(frame, LAG, ROWS, DAYS)
    for row in range(len(frame)):
        at, shop = frame["at"][row], frame["shop"][row]
        same_shop = frame["shop"].isna() if pd.isna(shop) else frame["shop"] == shop
        past = frame[same_shop & (frame["at"] < at)].sort_values("at", kind="stable")
        for lag in (1, 3):
            expected = past["x"].iloc[-lag] if len(past) >= lag else np.nan
            np.testing.assert_equal(made[f"x_lag{lag}"][row], expected)
        recent = past[past["at"] >= at - pd.Timedelta(days=2)]["x"]
        for suffix, values in (("3", past["x"].tail(3)), ("2d", recent)):
            for function in FUNCTIONS:
                found = float(made[f"x_{function}_{suffix}"][row])
                wanted = float("nan") if values.count() == 0 and function != "count" else getattr(values, function)()
                np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_rows_keep_their_order_and_a_row_without_a_time_has_no_past() -> None:
    frame = table(40)
    made = prepare(frame, LAG, ROWS)
    pd.testing.assert_frame_equal(made[list(frame.columns)], frame)
    timeless = made[frame["at"].isna()]
    assert len(timeless)
    assert timeless[["x_lag1", "word_lag1", "x_mean_3"]].isna().all().all()
    assert (timeless["x_count_3"] == 0).all()


def test_one_row_and_equal_times_have_no_past() -> None:
    one = table(20).iloc[[1]]
    assert np.isnan(prepare(one, LAG)["x_lag1"].iloc[0])
    tied = table(20).assign(at=pd.Timestamp("2026-01-01", tz="UTC").as_unit("us"))
    assert prepare(tied, LAG)["x_lag1"].isna().all()
    assert (prepare(tied, ROWS)["x_count_3"] == 0).all()


def test_huge_windows_reach_back_to_the_beginning() -> None:
    frame = table(40)
    wide = prepare(frame, DAYS | {"window": 100_000_000}, ROWS | {"window": 100_000_000})
    np.testing.assert_allclose(wide["x_sum_100000000d"], wide["x_sum_100000000"])


@pytest.mark.parametrize("unit", ["rows", "days"])
@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_a_huge_value_that_has_left_the_window_leaves_no_trace(window: int, unit: str) -> None:
    frame = table(200, days=40)
    step = ROWS | {"window": window, "unit": unit, "by": [], "functions": ["mean", "sum", "std"]}
    suffix = f"{window}{unit[0]}" if unit == "days" else f"{window}"
    huge = frame.copy()
    huge.loc[5::40, "x"] = [1e16, -3e17, 1e30, 7e15, 1e300]
    made = prepare(huge, step)
    clean = prepare(frame.assign(x=huge["x"].where(huge["x"].abs() < 1e15)), step)
    biggest = prepare(huge, step | {"functions": ["max", "min"]}).filter(regex="x_m").abs().max(axis=1)
    apart = (biggest < 1e15).to_numpy()
    assert 50 < apart.sum() < len(frame)
    for function in ("mean", "sum", "std"):
        name = f"x_{function}_{suffix}"
        np.testing.assert_allclose(made[name][apart], clean[name][apart], rtol=1e-9, atol=1e-12)


def test_the_deviation_of_equal_values_is_none_and_of_huge_ones_not_infinite() -> None:
    at = pd.Series(pd.date_range("2026-01-01", periods=12, tz="UTC")).astype("datetime64[us, UTC]")
    step = ROWS | {"window": 7, "by": [], "functions": ["std", "mean", "sum"]}
    made = prepare(table(12).assign(x=0.1, at=at), step)
    assert made["x_std_7"].tolist()[2:] == [0.0] * 10
    assert made["x_mean_7"].tolist()[1:] == [0.1] * 11
    huge = prepare(table(12).assign(x=1.7e308, at=at), step)
    assert not np.isinf(huge.filter(regex="x_").to_numpy()).any()


def test_a_table_without_any_time_has_windows_without_values() -> None:
    made = prepare(table(20).assign(at=pd.Series(pd.NaT, index=range(20), dtype="datetime64[us, UTC]")), ROWS, DAYS)
    assert made.filter(regex="x_(mean|std|median)").isna().all(axis=None)
    assert (made["x_count_3"] == 0).all()


def test_lags_of_derived_columns_and_of_filtered_rows_see_what_is_left() -> None:
    frame = table(50)
    derive = {"op": "derive", "name": "double", "expression": "x * 2"}
    lag = {"op": "lag", "columns": ["double"], "order": "turn"}
    made = prepare(frame, {"op": "filter", "where": "shop == 'north' and not is_null(x)"}, derive, lag)
    left = frame[(frame["shop"] == "north") & frame["x"].notna()]
    pd.testing.assert_series_equal(made["double_lag1"], prepare(left, derive, lag)["double_lag1"], check_index=True)
    assert made.index.tolist() == left.index.tolist()
