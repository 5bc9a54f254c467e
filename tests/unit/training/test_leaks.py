"""Leaks are found by one column alone, and nothing else is taken for one."""

import time

import numpy as np
import pandas as pd
import pytest

from shared.ml.metrics import measuring
from workers.training import leaks

pytestmark = pytest.mark.slow

random = np.random.default_rng(0)
ROWS = 400
CHURN = np.where(random.random(ROWS) < 0.27, "Yes", "No").astype(object)
PRICE = np.exp(random.normal(size=ROWS))


def leaking(values: object, truth: np.ndarray = CHURN) -> list[str]:
    """Look for leaks in one column."""
    problem: measuring.Problem = "regression" if truth.dtype == np.float64 else "classification"
    return leaks.find_leaks(pd.DataFrame({"c": values}), truth, problem=problem, seed=0)


def test_a_copy_of_the_target_leaks() -> None:
    assert "column 'c' may leak the target: it alone predicts it almost perfectly (ROC AUC 1.000" in leaking(CHURN)[0]


def test_a_copy_under_other_names_leaks() -> None:
    assert leaking(np.where(CHURN == "Yes", "left", "stays").astype(object))
    assert leaking(np.where(CHURN == "Yes", random.random(ROWS) + 5, random.random(ROWS)))


def test_many_texts_that_each_stand_for_one_class_leak() -> None:
    numbers = random.integers(0, 10, size=ROWS)
    assert leaking(np.array([f"{c[0]}{number}" for c, number in zip(CHURN, numbers, strict=True)], dtype=object))


def test_missing_exactly_where_the_target_is_something_leaks_by_missingness() -> None:
    dates = pd.Series(pd.date_range("2024-01-01", periods=ROWS, tz="UTC")).astype("datetime64[us, UTC]")
    dates = dates.sample(frac=1, random_state=0, ignore_index=True)
    for values in (
        np.where(CHURN == "Yes", random.random(ROWS), np.nan),
        pd.Series([f"reason {number}" for number in range(ROWS)]).where(CHURN == "Yes"),
        dates.where(CHURN == "Yes"),
    ):
        [told] = leaking(values)
        assert "whether it is missing alone predicts it" in told


def test_noise_does_not_leak() -> None:
    assert leaking(random.random(ROWS)) == []
    assert leaking(random.choice(["a", "b"], size=ROWS).astype(object)) == []
    assert leaking(random.random(ROWS), truth=PRICE) == []


def test_a_strong_but_honest_column_does_not_leak() -> None:
    assert leaking((CHURN == "Yes") + random.normal(scale=0.5, size=ROWS)) == []
    assert leaking(PRICE * random.uniform(0.8, 1.2, size=ROWS), truth=PRICE) == []


def test_identifiers_do_not_leak() -> None:
    assert leaking(np.array([f"id-{number}" for number in range(ROWS)], dtype=object)) == []
    assert leaking(np.arange(ROWS, dtype=np.float64)) == []
    assert leaking(random.permutation(ROWS).astype(np.float64), truth=PRICE) == []


@pytest.mark.parametrize(
    "values", [PRICE, PRICE * 0.92 + 3, np.log(PRICE), np.array([f"{price:.4f}" for price in PRICE], dtype=object)]
)
def test_a_number_told_in_another_way_leaks(values: np.ndarray) -> None:
    [told] = leaking(values, truth=PRICE)
    assert "(R² " in told


def test_a_leak_among_many_classes_is_found() -> None:
    truth = random.integers(0, 30, size=3000)
    assert leaking(np.array([f"class {label}" for label in truth], dtype=object), truth=truth)
    assert leaking(random.random(3000), truth=truth) == []


def test_a_few_rows_prove_nothing() -> None:
    assert leaking(CHURN[:30], truth=CHURN[:30]) == []


def test_empty_and_constant_columns_do_not_leak() -> None:
    assert leaking(np.full(ROWS, np.nan)) == []
    assert leaking(np.full(ROWS, None, dtype=object)) == []
    assert leaking(np.ones(ROWS), truth=PRICE) == []


def test_real_data_raises_no_false_alarm(telco: pd.DataFrame, housing: pd.DataFrame) -> None:
    churn, price = telco["Churn"].to_numpy(), housing["median_house_value"].to_numpy()
    for seed in range(3):
        assert leaks.find_leaks(telco.drop(columns="Churn"), churn, problem="classification", seed=seed) == []
        houses = housing.drop(columns="median_house_value")
        assert leaks.find_leaks(houses, price, problem="regression", seed=seed) == []


def test_a_planted_leak_in_real_data_is_the_one_warning(telco: pd.DataFrame) -> None:
    features = telco.drop(columns="Churn").assign(left_at=telco["tenure"].where(telco["Churn"] == "Yes"))
    [told] = leaks.find_leaks(features, telco["Churn"].to_numpy(), problem="classification", seed=0)
    assert told.startswith("column 'left_at'")


def test_a_million_rows_cost_no_more_than_the_sample() -> None:
    truth = random.random(1_000_000)
    frame = pd.DataFrame({f"c{number}": random.random(len(truth)) for number in range(3)})
    started = time.monotonic()
    assert leaks.find_leaks(frame, truth, problem="regression", seed=0) == []
    assert time.monotonic() - started < 10


def test_what_only_names_a_group_does_not_leak_where_groups_are_kept_apart() -> None:
    dice = np.random.default_rng(1)
    groups = dice.permutation(np.arange(40).repeat(10))
    of_group = dice.choice(["No", "Yes"], size=40).astype(object)
    frame, truth = pd.DataFrame({"c": [f"house {number}" for number in groups]}), of_group[groups]
    # Rows of one group on both sides tell it; the validation never has them so.
    assert leaks.find_leaks(frame, truth, problem="classification", seed=0)
    assert leaks.find_leaks(frame, truth, problem="classification", seed=0, groups=groups) == []
    assert leaks.find_leaks(frame.assign(c=truth), truth, problem="classification", seed=0, groups=groups)
