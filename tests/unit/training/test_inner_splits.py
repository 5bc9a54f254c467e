"""What splits the rows inside a fit keeps time and groups apart, as the validation does around it.

The tables are made so that a row tells its neighbours' targets and nothing of the future: whoever shuffles sees a
perfect model.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shared import errors
from shared.ml import artifacts
from shared.recipe.columns import Drop
from shared.recipe.language import Recipe
from shared.recipe.numbers import Scale
from shared.training import refinements
from shared.training.contract import TrainModel
from shared.training.estimators import allow_list
from shared.training.estimators.document import Estimator, Member
from shared.training.estimators.spec import ACCEPTS_VALIDATION_ROWS
from shared.training.refinements import Conformal
from shared.training.validations import CrossValidation, TimeSeries, Validation
from tests.unit.training import tables
from workers.training import models
from workers.training.experiment import Experiment
from workers.training.splits import inner
from workers.training.tables import Table

ROWS, RUN = 1200, 10
IN_ORDER = TimeSeries(method="time_series", time="moment", folds=2)
BY_HOUSE = CrossValidation(method="cross_validation", folds=2, group="house")
PLAIN = Recipe(steps=[Scale(op="scale", columns=["moment"])])
NEIGHBOUR = {"n_neighbors": 3}


def runs() -> pd.DataFrame:
    """Make 120 runs of 10 moments, each run with a level and a label of its own; the rows are in no order."""
    random = np.random.default_rng(3)
    run = np.arange(ROWS) // RUN
    frame = pd.DataFrame(
        {
            "moment": np.arange(ROWS, dtype=float),
            "house": [f"house {number}" for number in run],
            "level": random.normal(size=ROWS // RUN).cumsum()[run] + random.normal(scale=0.01, size=ROWS),
            "state": np.where(random.random(ROWS // RUN) < 0.5, "on", "off")[run],
        }
    )
    return frame.sample(frac=1.0, random_state=0).reset_index(drop=True)


def train(folder: Path, name: str, *, target: str, validation: Validation, **more: Any) -> Any:
    """Train on the runs, from the moment alone."""
    others = {"level", "state", "house"} - {target, getattr(validation, "group", None)}
    return tables.train(
        runs(), folder, name=name, target=target, validation=validation, without=tuple(others), wanted=PLAIN, **more
    )


def asked(validation: Validation) -> Experiment:
    """Make an experiment with this validation."""
    return tables.experiment(
        columns=[], problem="classification", estimator=tables.estimator("GaussianNB"), validation=validation
    )


def table(**more: Any) -> Table:
    """Make rows without columns that matter."""
    return Table(pd.DataFrame({"a": np.zeros(60)}), np.tile([0, 1], 30), **more)


@pytest.mark.parametrize("validation", [IN_ORDER, BY_HOUSE], ids=lambda validation: validation.method)
def test_calibration_does_not_trust_what_it_saw_of_the_future_or_of_the_group(
    tmp_path: Path, validation: Validation
) -> None:
    found = train(
        tmp_path,
        "KNeighborsClassifier",
        params=NEIGHBOUR,
        target="state",
        validation=validation,
        calibration=refinements.Calibration(),
    )
    # Knowing nothing costs log(2) = 0.69; a model that takes itself for nearly perfect pays two and more.
    assert found.metrics["log_loss"].mean < 1.0


@pytest.mark.parametrize("validation", [IN_ORDER, BY_HOUSE], ids=lambda validation: validation.method)
@pytest.mark.parametrize("method", ["split", "cross"])
def test_intervals_are_as_wide_as_the_future_or_another_group_makes_them(
    tmp_path: Path, validation: Validation, method: Any
) -> None:
    found = train(
        tmp_path,
        "KNeighborsRegressor",
        params=NEIGHBOUR,
        problem="regression",
        target="level",
        validation=validation,
        conformal=Conformal(method=method, confidence=0.8, fraction=0.4),
    )
    # Errors on rows between known neighbours are a hundredth of a run's step.
    assert found.metrics["coverage"].mean > 0.3


def test_a_threshold_is_chosen_on_what_came_later(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    moment, height = np.arange(ROWS, dtype=float), dice.normal(size=ROWS)
    # From the middle on yes begins at a greater height.
    frame = pd.DataFrame({"moment": moment, "height": height, "state": height > np.where(moment < ROWS / 2, 0.0, 1.0)})
    chosen: dict[str, float] = {}
    for name, validation in (("in order", IN_ORDER), ("shuffled", tables.QUICK)):
        found = tables.train(
            frame.sample(frac=1.0, random_state=0),
            tmp_path,
            name="GaussianNB",
            target="state",
            validation=validation,
            wanted=Recipe(steps=[Drop(op="drop", columns=["moment"])]),
            threshold=refinements.Threshold(maximise="accuracy", folds=2),
        )
        threshold: Any = found.details["threshold"]
        chosen[name] = threshold["value"]
    assert chosen["in order"] > chosen["shuffled"] + 0.05


@pytest.mark.parametrize("name", ["HistGradientBoostingClassifier", "LGBMClassifier"])
@pytest.mark.parametrize("validation", [IN_ORDER, BY_HOUSE], ids=lambda validation: validation.method)
def test_rounds_end_when_the_future_or_another_group_gets_no_better(
    tmp_path: Path, name: str, validation: Validation
) -> None:
    if name.startswith("LGBM"):
        pytest.importorskip("lightgbm")
    rounds = "n_estimators" if name.startswith("LGBM") else "max_iter"
    found = train(
        tmp_path,
        name,
        params={rounds: 60},
        target="state",
        validation=validation,
        early_stopping=refinements.EarlyStopping(rounds=5, fraction=0.3),
    )
    fitted = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)[-1]
    # Between known neighbours each round makes the loss less, to the last of sixty.
    assert fitted.n_iter_ < 20


def test_boosting_that_would_stop_by_itself_keeps_time_apart_too(tmp_path: Path) -> None:
    found = train(
        tmp_path,
        "HistGradientBoostingRegressor",
        params={"max_iter": 60, "early_stopping": True},
        problem="regression",
        target="level",
        validation=IN_ORDER,
    )
    fitted = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)[-1]
    assert fitted.n_iter_ < 30


def test_boosting_that_stops_by_the_rows_that_it_learns_from_holds_none_out(tmp_path: Path) -> None:
    params = {"max_iter": 7, "early_stopping": True, "validation_fraction": None}
    found = train(
        tmp_path,
        "HistGradientBoostingRegressor",
        params=params,
        problem="regression",
        target="level",
        validation=IN_ORDER,
    )
    fitted = artifacts.load(tmp_path / "model.skops", sha256=found.sha256)[-1]
    assert (fitted.n_iter_, len(fitted.validation_score_)) == (7, 0)


def test_folds_of_a_time_series_never_fit_on_what_comes_after() -> None:
    times = np.random.default_rng(0).permutation(60)
    validation = TimeSeries(method="time_series", time="t", gap=3)
    parts = inner.make_folds(table(times=times), experiment=asked(validation), count=4, seed=0)
    assert len(parts) == 4
    for train_part, held_out in parts:
        assert times[train_part].max() + 3 < times[held_out].min()
    train_part, held_out = inner.hold_out(table(times=times), experiment=asked(validation), fraction=0.2, seed=0)
    assert sorted(times[held_out]) == [*range(48, 60)]
    assert sorted(times[train_part]) == [*range(45)]


def test_folds_of_groups_never_part_one() -> None:
    groups = np.random.default_rng(0).integers(0, 12, size=60)
    own = table(groups=groups)
    for strata in (None, own.values):
        parts = inner.make_folds(own, experiment=asked(tables.QUICK), count=3, seed=0, strata=strata)
        parts.append(inner.hold_out(own, experiment=asked(tables.QUICK), fraction=0.3, seed=0, strata=strata))
        for train_part, held_out in parts:
            assert not set(groups[train_part]) & set(groups[held_out])


def test_a_class_that_is_known_only_late_or_in_one_group_is_said_to_be_too_rare() -> None:
    late = np.repeat([0, 1], [50, 10])
    in_order = Table(pd.DataFrame({"a": np.zeros(60)}), late, times=np.arange(60))
    with pytest.raises(errors.BadDataError, match="class '1' is not among the 12 rows"):
        inner.make_folds(in_order, experiment=asked(IN_ORDER), count=4, seed=0, strata=late)
    one_group = Table(pd.DataFrame({"a": np.zeros(60)}), late, groups=np.arange(60) // 10)
    with pytest.raises(errors.BadDataError, match=r"class .1. is not among the \d+ rows"):
        inner.make_folds(one_group, experiment=asked(BY_HOUSE), count=3, seed=0, strata=late)


def test_a_class_of_one_group_alone_fails_the_job_and_not_the_worker(tmp_path: Path) -> None:
    frame = runs()
    frame["state"] = np.where(frame["house"] == "house 7", "broken", frame["state"])
    with pytest.raises(errors.BadDataError, match="class 'broken' is not among"):
        tables.train(
            frame[["moment", "house", "state"]],
            tmp_path,
            name="KNeighborsClassifier",
            target="state",
            validation=BY_HOUSE,
            wanted=PLAIN,
            calibration=refinements.Calibration(folds=3),
        )


@pytest.mark.parametrize("name", ["LassoCV", "ElasticNetCV", "RidgeCV"])
def test_a_strength_is_chosen_by_folds_in_time(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    folds = inner.make_folds

    def remembered(*given: Any, **how: Any) -> list[inner.Split]:
        seen.append(folds(*given, **how))
        return folds(*given, **how)

    monkeypatch.setattr(inner, "make_folds", remembered)
    found = train(tmp_path, name, params={"cv": 3}, problem="regression", target="level", validation=IN_ORDER)
    assert [len(parts) for parts in seen] == [3, 3, 3]
    assert found.parameters["cv"] == 3


@pytest.mark.parametrize("validation", [IN_ORDER, BY_HOUSE], ids=lambda validation: validation.method)
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"name": "SGDClassifier", "params": {"early_stopping": True}}, "holds out rows at random"),
        ({"name": "GradientBoostingClassifier", "params": {"n_iter_no_change": 3}}, "holds out rows at random"),
        ({"name": "MLPClassifier", "params": {"early_stopping": True}}, "holds out rows at random"),
        (
            {
                "name": "VotingClassifier",
                "estimators": [
                    {"name": "GaussianNB"},
                    {"name": "HistGradientBoostingClassifier", "params": {"early_stopping": True}},
                ],
            },
            "its member HistGradientBoostingClassifier holds out rows at random",
        ),
    ],
)
def test_what_holds_out_rows_at_random_is_refused_where_time_or_groups_are_kept_apart(
    validation: Validation, given: dict[str, Any], fault: str
) -> None:
    asked_for: dict[str, Any] = {"name": "m", "dataset": "d@1", "problem": "classification", "target": "state"}
    TrainModel.model_validate({**asked_for, "estimator": given})
    with pytest.raises(ValueError, match=fault):
        TrainModel.model_validate({**asked_for, "estimator": given, "validation": validation.model_dump()})


def test_a_stack_has_no_predictions_of_its_first_rows_in_time() -> None:
    stack = {"name": "StackingRegressor", "estimators": [{"name": "Ridge"}, {"name": "LinearRegression"}]}
    asked_for = {"name": "m", "dataset": "d@1", "problem": "regression", "target": "level", "estimator": stack}
    TrainModel.model_validate({**asked_for, "validation": BY_HOUSE.model_dump()})
    with pytest.raises(
        ValueError, match="StackingRegressor learns from its members' out-of-fold predictions of every row"
    ):
        TrainModel.model_validate({**asked_for, "validation": IN_ORDER.model_dump()})


def test_what_a_search_turns_on_is_refused_by_the_worker(tmp_path: Path) -> None:
    with pytest.raises(errors.BadModelError, match="holds out rows at random"):
        train(tmp_path, "SGDClassifier", params={"early_stopping": True}, target="state", validation=IN_ORDER)


def test_boosting_inside_another_estimator_runs_all_rounds() -> None:
    boosting = Member(name="HistGradientBoostingClassifier")
    plain = Member(name="GaussianNB")
    stack = Estimator(name="StackingClassifier", estimators=[plain, boosting], final_estimator=boosting)
    wanted = dataclasses.replace(asked(BY_HOUSE), estimator=stack)
    made = models.make_estimator(stack, seed=0)
    models.adapt_parameters(made, table(groups=np.arange(60) // 6), experiment=wanted, train_fraction=0.5)
    # With `auto` they would hold out rows at random as soon as there are many.
    assert [made.estimators[1][1].early_stopping, made.final_estimator.early_stopping] == [False, False]


def test_every_estimator_that_stops_is_known_as_one_or_the_other() -> None:
    stopping = {name for name, spec in allow_list.specs().items() if spec.stops}
    assert stopping > ACCEPTS_VALIDATION_ROWS
