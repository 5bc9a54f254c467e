"""What is read for an experiment: which rows, which features, and what belongs to the rows."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.ml import frames
from shared.training.validations import CrossValidation, TimeSeries
from tests.unit.training.tables import estimator, experiment, small
from workers.training import tables

DAYS = [datetime.date(2026, 1, 1 + day % 28) for day in range(40)]
FRAME = small(rows=40).assign(shop=np.arange(40) % 5, day=DAYS, weight=1.5)
GROUPED = CrossValidation(method="cross_validation", group="shop")
SERIES = TimeSeries(method="time_series", time="day")


def read(frame: pd.DataFrame, folder: Path, *, problem: Any = "regression", **given: Any) -> tables.Table:
    """Store a frame and read it for an experiment."""
    frame.to_parquet(folder / "d.parquet", index=False)
    name = {"clustering": "KMeans", "anomaly": "IsolationForest", "multilabel": "GaussianNB"}.get(problem, "Ridge")
    target = {} if problem in ("clustering", "multilabel") else {"target": "amount"}
    asked = experiment(
        columns=frames.read_columns(folder / "d.parquet"),
        problem=problem,
        estimator=estimator(name),
        **target | given,
    )
    return tables.read_table(folder / "d.parquet", experiment=asked)


def test_targets_weights_and_groups_are_no_features(tmp_path: Path) -> None:
    found = read(FRAME, tmp_path, validation=GROUPED, sample_weight="weight")
    assert list(found.frame) == ["size", "colour", "sold", "big", "stars", "day"]
    assert found.groups is not None
    assert found.groups.tolist() == FRAME["shop"].tolist()
    assert found.weights is not None
    assert set(found.weights) == {1.5}


def test_a_time_orders_the_rows_and_stays_a_feature(tmp_path: Path) -> None:
    found = read(FRAME, tmp_path, validation=SERIES)
    assert "day" in found.frame
    assert found.times is not None
    assert np.argsort(found.times, kind="stable").tolist() == sorted(range(40), key=lambda row: DAYS[row])


def test_rows_without_a_target_take_their_weights_and_groups_along(tmp_path: Path) -> None:
    frame = FRAME.assign(weight=np.arange(40.0))
    frame.loc[:9, "amount"] = np.nan
    frame.loc[5, "shop"] = np.nan
    found = read(frame, tmp_path, validation=GROUPED, sample_weight="weight")
    assert found.left_out == 10
    assert found.weights is not None
    assert found.weights.tolist() == list(range(10, 40))
    taken = found.take(np.array([3, 1]))
    assert taken.weights is not None
    assert taken.weights.tolist() == [13.0, 11.0]
    assert taken.frame["size"].equals(found.frame["size"].iloc[[3, 1]])


def test_without_a_target_every_row_is_learned_from(tmp_path: Path) -> None:
    found = read(FRAME, tmp_path, problem="clustering")
    assert found.values is None
    assert (len(found.frame), found.left_out) == (40, 0)


def test_rows_that_nobody_has_judged_are_learned_from_as_well(tmp_path: Path) -> None:
    frame = FRAME.assign(odd=pd.Series([None, *[True, False] * 19, None], dtype="boolean"))
    found = read(frame, tmp_path, problem="anomaly", target="odd")
    assert found.values is not None
    assert found.values.tolist() == [-1, *[1, 0] * 19, -1]
    assert "odd" not in found.frame


def test_labels_are_the_names_of_their_columns(tmp_path: Path) -> None:
    found = read(FRAME.assign(cheap=~FRAME["big"]), tmp_path, problem="multilabel", targets=["cheap", "big"])
    assert found.labels == ["cheap", "big"]
    assert found.values is not None
    np.testing.assert_array_equal(found.values[:, 1], FRAME["big"])


@pytest.mark.parametrize(
    ("changed", "given", "told"),
    [
        ({"shop": None}, {"validation": GROUPED}, "the group 'shop' is missing in 40 of 40 rows"),
        (
            {"day": [None, *DAYS[1:]]},
            {"validation": SERIES},
            "the time 'day' is missing in 1 of 40 rows .first in row 1.",
        ),
        ({"day": "Monday"}, {"validation": SERIES}, "the time 'day' is text; load it as a timestamp"),
        (
            {},
            {"validation": TimeSeries(method="time_series", time="days")},
            "the time is missing: column 'days' .did you mean 'day'",
        ),
        ({}, {"problem": "multilabel", "targets": ["big", "bigger"]}, "the targets is missing: column 'bigger'"),
        ({"big": None}, {"problem": "multilabel", "targets": ["big", "weight"]}, "type string"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, changed: dict[str, Any], given: dict[str, Any], told: str
) -> None:
    with pytest.raises(errors.BadDataError, match=told):
        read(FRAME.assign(**changed), tmp_path, **given)


def test_a_condition_chooses_rows_before_their_targets_are_looked_at(tmp_path: Path) -> None:
    frame = FRAME.assign(weight=np.arange(40.0), amount=FRAME["amount"].mask(FRAME.index < 10))
    found = read(frame, tmp_path, validation=GROUPED, sample_weight="weight", where="shop == 2 or weight > 37")
    chosen = frame[(frame["shop"] == 2) | (frame["weight"] > 37)]
    assert found.frame.index.tolist() == chosen.index[chosen["amount"].notna()].tolist()
    assert found.weights is not None
    assert found.weights.tolist() == found.frame.index.tolist()
    assert found.left_out == 2
    assert found.kept is not None
    assert (found.kept.rows, found.kept.dataset_rows) == (len(chosen), 40)


def test_messages_name_rows_of_the_dataset_under_a_condition(tmp_path: Path) -> None:
    row = np.arange(40)
    day = pd.Series(DAYS).where(row != 35, None)
    frame = FRAME.assign(row=row, odd=np.where(row == 30, 2.5, 1.0), day=day)
    with pytest.raises(errors.BadDataError, match=r"holds 2.5 in row 31; `where` keeps 20 of 40 rows"):
        read(frame, tmp_path, problem="anomaly", target="odd", where="row >= 20")
    with pytest.raises(errors.BadDataError, match=r"missing in 1 of 20 rows \(first in row 36\)"):
        read(frame, tmp_path, validation=SERIES, where="row >= 20")
