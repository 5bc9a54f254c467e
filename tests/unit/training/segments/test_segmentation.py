"""Which values get a model of their own is settled from the rows that can be learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.ml import frames
from shared.training import segments
from shared.training.contract import TrainModel
from tests.unit.training import tables
from workers.training.experiment import Experiment
from workers.training.segments import segmentation

ROWS = 240
CODE = 2**53


def frame() -> pd.DataFrame:
    """Make a table with regions of different sizes, and some rows without any."""
    regions = ["north"] * 100 + ["south"] * 60 + ["west"] * 40 + ["east"] * 20 + ["one"] * 15 + [None] * 5
    return tables.small(rows=ROWS).assign(region=pd.Series(regions, dtype=object), row=np.arange(ROWS))


def settle(table: pd.DataFrame, folder: Path, **given: Any) -> segmentation.Settled:
    """Settle the values of a table's column."""
    path = folder / "d.parquet"
    table.to_parquet(path, index=False)
    params = {
        "name": "m",
        "dataset": "d@1",
        "target": "sold",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "per": "region",
        **given,
    }
    command = TrainModel.model_validate(params)
    experiment = Experiment(command, frames.read_columns(path), command.estimator)
    return segmentation.settle(path, experiment=experiment, command=command)


def test_values_with_enough_rows_get_a_model_and_the_others_are_told(tmp_path: Path) -> None:
    found = settle(frame(), tmp_path).segmentation
    assert [(each.value, each.name, each.rows) for each in found.segments] == [
        ("north", "m.north", 100),
        ("south", "m.south", 60),
        ("west", "m.west", 40),
    ]
    assert [(left.value, left.rows, left.reason) for left in found.left] == [
        ("east", 20, "fewer than 30 rows"),
        ("one", 15, "fewer than 30 rows"),
    ]
    assert "2 values of 'region' get no model of their own, with 35 rows: 'east', 'one'" in found.notes
    assert "5 rows have no 'region'; the model for all answers for such rows" in found.notes


def test_only_rows_with_a_target_that_the_condition_keeps_count(tmp_path: Path) -> None:
    table = frame()
    table.loc[:9, "sold"] = None
    found = settle(table, tmp_path, where="row < 190", least_per_rows=20).segmentation
    assert [(each.value, each.rows) for each in found.segments] == [("north", 90), ("south", 60), ("west", 30)]


def test_a_value_whose_rows_can_not_be_validated_is_left_with_the_reason(tmp_path: Path) -> None:
    table = frame()
    table.loc[table["region"] == "south", "sold"] = "Yes"
    found = settle(table, tmp_path).segmentation
    assert [each.value for each in found.segments] == ["north", "west"]
    assert found.left[0].value == "south"
    assert "one class only" in found.left[0].reason


def test_a_value_whose_rows_weigh_nothing_is_left_with_the_reason(tmp_path: Path) -> None:
    table = frame()
    table["weight"] = np.where(table["region"] == "south", 0.0, 0.5)
    found = settle(table, tmp_path, sample_weight="weight").segmentation
    assert [each.value for each in found.segments] == ["north", "west"]
    assert (found.left[0].value, found.left[0].reason) == ("south", "all of its rows have the sample_weight 'weight' 0")


def test_booleans_and_integers_are_values_in_their_own_type(tmp_path: Path) -> None:
    table = frame().assign(region=CODE + np.arange(ROWS) % 2, flag=np.arange(ROWS) % 3 == 0)
    codes = [each.value for each in settle(table, tmp_path).segmentation.segments]
    assert sorted(codes) == [CODE, CODE + 1]
    flags = settle(table, tmp_path, per="flag").segmentation.segments
    assert [(each.value, each.name) for each in flags] == [(False, "m.false"), (True, "m.true")]


def test_texts_that_are_no_categories_are_left(tmp_path: Path) -> None:
    table = frame()
    table.loc[table["region"] == "west", "region"] = "w" * 300
    table.loc[table["region"] == "south", "region"] = "so\0uth"
    found = settle(table, tmp_path).segmentation
    assert [each.value for each in found.segments] == ["north"]
    assert all("at most 200 characters" in left.reason for left in found.left[:2])
    assert max(len(str(left.value)) for left in found.left) == 200


def test_too_many_values_are_refused_with_their_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MAX_SEGMENTS", 2)
    with pytest.raises(errors.LimitExceededError, match="'region' has 3 values with 30 rows or more; at most 2"):
        settle(frame(), tmp_path)


def test_without_any_value_of_enough_rows_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(errors.BadDataError, match=r"no value of column 'region' has rows enough.*'north' \(100\)"):
        settle(frame(), tmp_path, least_per_rows=101)


def test_the_positive_class_is_that_of_all_rows(tmp_path: Path) -> None:
    table = frame().assign(kind=np.where(np.arange(ROWS) % 5 == 0, "b", "a"))
    # Among the rows of one region the other class is the rarer one.
    west = table["region"] == "west"
    table.loc[west, "kind"] = np.where(np.arange(west.sum()) % 5 == 0, "a", "b")
    found = settle(table, tmp_path, target="kind")
    assert found.positive == "b"
    assert found.segmentation.notes[0].startswith("the positive class is 'b'")


def test_a_value_s_own_labels_count_where_texts_list_them(tmp_path: Path) -> None:
    table = frame()
    labels = np.where(np.arange(ROWS) % 2 == 0, "x,y", "x")
    labels[::3] = "y"
    table["labels"] = np.where((table["region"] == "north") & (np.arange(ROWS) % 4 == 0), "z", labels)
    found = settle(table, tmp_path, target="labels", problem="multilabel", estimator={"name": "DecisionTreeClassifier"})
    assert [each.value for each in found.segmentation.segments] == ["north", "south", "west"]
