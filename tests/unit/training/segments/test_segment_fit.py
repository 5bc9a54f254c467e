"""A value's model is that of a training by hand, and is compared on rows that neither model has seen."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import base, metrics

from shared.ml import artifacts, frames
from shared.progress import no_progress
from shared.training.segments import SegmentScores
from shared.training.validations import CrossValidation, HoldOut, TimeSeries, Validation
from tests.unit.training import tables
from workers.training import fit
from workers.training import tables as rows_to_learn
from workers.training.experiment import Experiment
from workers.training.segments import segment_fit
from workers.training.splits import outer

pytestmark = pytest.mark.slow
ROWS = 300
DAYS = [datetime.date(2026, 1, 1) + datetime.timedelta(days=int(row) // 2) for row in range(ROWS)]
VALIDATIONS: list[Validation] = [
    CrossValidation(method="cross_validation", folds=3),
    CrossValidation(method="cross_validation", folds=2, repeats=2),
    CrossValidation(method="cross_validation", folds=3, group="shop"),
    HoldOut(method="hold_out", test_fraction=0.3, repeats=2),
    TimeSeries(method="time_series", time="day", folds=3, gap=4),
]


def frame() -> pd.DataFrame:
    """Make a table in which the sizes mean the opposite in one of two regions, and shops are in both."""
    table = tables.small(rows=ROWS).drop(columns=["amount", "big", "stars"])
    north = np.arange(ROWS) % 3 != 0
    table["sold"] = np.where(north, table["sold"], np.where(table["sold"] == "Yes", "No", "Yes"))
    return table.assign(region=np.where(north, "north", "south"), shop=np.arange(ROWS) % 20, day=DAYS)


def run(
    table: pd.DataFrame, folder: Path, *, value: Any, values: list[Any], **setup: Any
) -> tuple[fit.TrainedArtifact, list[SegmentScores], Experiment]:
    """Train a segment of a table."""
    path = folder / "d.parquet"
    table.to_parquet(path, index=False)
    given = {"target": "sold", "problem": "classification", "seed": 0, "per": "region", **setup}
    estimator = tables.estimator(given.pop("estimator", "LogisticRegression"))
    asked = tables.experiment(columns=frames.read_columns(path), estimator=estimator, **given)
    experiment = dataclasses.replace(asked, value=value)
    trained, scores = segment_fit.train(
        path, experiment=experiment, values=values, artifact_path=folder / "m.skops", threads=1, report=no_progress
    )
    return trained, scores, experiment


@pytest.mark.parametrize("validation", VALIDATIONS, ids=lambda given: f"{given.method}")
def test_a_value_s_model_is_that_of_a_training_by_hand(validation: Validation, tmp_path: Path) -> None:
    found, _, _ = run(frame(), tmp_path, value="north", values=[], validation=validation)
    by_hand = tables.train(
        frame(), tmp_path, target="sold", name="LogisticRegression", validation=validation, where='region == "north"'
    )
    assert found.metrics == by_hand.metrics
    assert found.sha256 == by_hand.sha256


@pytest.mark.parametrize("validation", VALIDATIONS, ids=lambda given: f"{given.method}")
def test_both_models_are_scored_on_the_same_rows_that_neither_has_seen(validation: Validation, tmp_path: Path) -> None:
    table = frame()
    common, of_values, experiment = run(table, tmp_path, value=None, values=["south", "north"], validation=validation)
    everybody = unfitted(tmp_path, common)
    by_hand = tables.train(table, tmp_path, target="sold", name="LogisticRegression", validation=validation)
    assert common.metrics == by_hand.metrics
    of_north, [own], _ = run(table, tmp_path, value="north", values=[], validation=validation)
    own_model = unfitted(tmp_path, of_north)
    read = rows_to_learn.read_table(tmp_path / "d.parquet", experiment=experiment)
    splits = outer.make_splits(read, experiment=experiment)
    north = (table["region"] == "north").to_numpy()
    stored = frames.read_frame(tmp_path / "d.parquet")
    for number, (train, test) in enumerate(splits):
        scored = test[north[test]]
        expected = []
        for model, fitted in ((own_model, train[north[train]]), (everybody, train)):
            assert not set(fitted) & set(scored)
            if validation.method == "time_series":
                assert read.times is not None
                assert read.times[fitted].max() < read.times[scored].min()
            elif validation.group is not None:
                assert not set(table["shop"].iloc[fitted]) & set(table["shop"].iloc[scored])
            model.fit(stored.iloc[fitted], table["sold"].iloc[fitted])
            chances = model.predict_proba(stored.iloc[scored])[:, 1]
            expected.append(metrics.roc_auc_score(table["sold"].iloc[scored] == "Yes", chances))
        assert own.metrics["roc_auc"][number] == pytest.approx(expected[0], abs=1e-9)
        assert of_values[1].metrics["roc_auc"][number] == pytest.approx(expected[1], abs=1e-9)
        assert own.rows[number] == of_values[1].rows[number] == len(scored)
        assert expected[0] > expected[1]


def unfitted(folder: Path, trained: fit.TrainedArtifact) -> Any:
    """Return the pipeline of the model that was just trained, as it was before it was fitted."""
    return base.clone(artifacts.load(folder / "m.skops", sha256=trained.sha256))


def test_a_fold_in_which_the_own_model_can_not_be_fitted_has_no_metrics(tmp_path: Path) -> None:
    table = frame()
    # All rows of a shop are in one fold, and only that shop has the second class in the south.
    south = table["region"] == "south"
    table.loc[south, "sold"] = np.where(table.loc[south, "shop"].isin([0, 1, 2]), "Yes", "No")
    grouped = CrossValidation(method="cross_validation", folds=3, group="shop", stratified=False)
    _, [own], _ = run(table, tmp_path, value="south", values=[], validation=grouped)
    assert len(own.rows) == 3
    assert sum(own.rows) == south.sum()


@pytest.mark.parametrize(
    ("problem", "name", "target"), [("classification", "LogisticRegression", "sold"), ("regression", "Ridge", "amount")]
)
def test_a_fold_in_which_a_value_s_rows_weigh_nothing_has_no_metrics(
    problem: Any, name: str, target: str, tmp_path: Path
) -> None:
    table = frame().assign(amount=tables.small(rows=ROWS)["amount"])
    # All rows of a shop are in one fold, and only those of one shop count in the south.
    table["weight"] = np.where((table["region"] == "south") & (table["shop"] != 1), 0.0, 1.0)
    setup: dict[str, Any] = {
        "problem": problem,
        "target": target,
        "estimator": name,
        "validation": CrossValidation(method="cross_validation", folds=3, group="shop"),
        "sample_weight": "weight",
    }
    _, [south, north], _ = run(table, tmp_path, value=None, values=["south", "north"], **setup)
    assert set(south.metrics) == set(north.metrics)
    assert all(sum(score is not None for score in scores) == 1 for scores in south.metrics.values())
    assert all(None not in scores for scores in north.metrics.values())


@pytest.mark.parametrize(
    ("problem", "name", "target"),
    [
        ("regression", "Ridge", "amount"),
        ("classification", "DecisionTreeClassifier", "stars"),
        ("anomaly", "IsolationForest", "big"),
    ],
)
def test_every_problem_with_a_target_is_compared(problem: Any, name: str, target: str, tmp_path: Path) -> None:
    drop = [each for each in ("amount", "sold", "big", "stars") if each != target]
    table = tables.small(rows=ROWS).drop(columns=drop).assign(region=np.where(np.arange(ROWS) % 2, "a", "b"))
    if target == "stars":
        # One class is missing among the rows of one value.
        table.loc[(table["region"] == "a") & (table["stars"] == 3), "stars"] = 2
    setup: dict[str, Any] = {"problem": problem, "target": target, "estimator": name, "validation": VALIDATIONS[0]}
    _, [common], _ = run(table, tmp_path, value=None, values=["a"], **setup)
    _, [own], _ = run(table, tmp_path, value="a", values=[], **setup)
    assert own.rows == common.rows
    shared = set(own.metrics) & set(common.metrics)
    assert shared >= {"regression": {"r2"}, "classification": {"accuracy", "log_loss"}, "anomaly": {"roc_auc"}}[problem]


def test_labels_that_a_value_lacks_are_predicted_to_be_none_of_its_own(tmp_path: Path) -> None:
    table = frame().drop(columns=["sold", "day", "shop"])
    size = table["size"].fillna(0)
    labels = np.where(size > 0.5, "x,y", np.where(size < -0.5, "y", "x"))
    table["labels"] = np.where((table["region"] == "north") & (np.arange(ROWS) % 4 == 0), "z", labels)
    setup: dict[str, Any] = {
        "problem": "multilabel",
        "target": "labels",
        "estimator": "DecisionTreeClassifier",
        "validation": VALIDATIONS[0],
    }
    _, [common], _ = run(table, tmp_path, value=None, values=["south"], **setup)
    _, [own], _ = run(table, tmp_path, value="south", values=[], **setup)
    assert own.rows == common.rows
    assert all(one is not None and one > 0.9 for one in own.metrics["f1_samples"])
