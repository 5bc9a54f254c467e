"""What a search may be asked: checked against the allow-list before it is accepted."""

from typing import Any

import pydantic
import pytest

from shared import scoring
from shared.training import automatic
from shared.training.estimators.spec import Problem
from shared.training.search.commands import SEARCH, TRIAL, RunTrial, SearchModel
from shared.training.search.spaces import Value, Values
from tests.unit.training.search import commands

pytestmark = pytest.mark.slow

STRENGTH = commands.STRENGTH
LOGISTIC = {"name": "LogisticRegression", "params": {"max_iter": 200}}
TREE = {"name": "DecisionTreeClassifier", "space": {"max_depth": {"values": [None, 2]}}}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"search": {"space": {"C": {"low": 1.0, "high": 0.1}}}}, "the first must be less than the second"),
        ({"search": {"space": {"C": {"low": 0.0, "high": 0.1, "log": True}}}}, "can't begin at 0.0"),
        ({"search": {"space": {"C": {"low": 0.1, "high": float("inf")}}}}, "the bounds are 0.1 and inf"),
        ({"search": {"space": {"C": {"int_low": 2**70, "int_high": 2**71}}}}, "between -2\\^63 and 2\\^63"),
        ({"search": {"space": {"C": {"low": -1.0, "high": 0.1}}}}, "`C` is -1.0"),
        ({"search": {"space": {"C": {"values": []}}}}, "at least 1 item"),
        ({"search": {"space": {"C": {"values": [1.0, 1.0]}}}}, "a value is given twice"),
        ({"search": {"space": {"C": {"values": [1.0], "low": 1.0}}}}, "Extra inputs are not permitted"),
        ({"search": {"space": {"C": 3}}}, "valid dictionary"),
        ({"search": {"space": {"Q": {"values": [1]}}}}, "takes no parameter 'Q' here"),
        ({"search": {"space": {"n_jobs": {"values": [1]}}}}, "the worker decides how many threads"),
        ({"search": {"space": {"solver": {"values": ["x" * 2000]}}}}, "at most 1000 characters"),
        ({"search": {"space": {f"p{n}": {"values": [1]} for n in range(30)}}}, "at most 20 items"),
        ({"search": {"space": {"max_iter": {"values": [1]}}}}, "in `params` and in `space`"),
        ({"search": {"space": {"C": STRENGTH}, "method": "grid"}}, "a grid needs `values`"),
        ({"search": {"space": {"C": STRENGTH}, "metric": "r2"}}, "classification has no metric 'r2'"),
        ({"search": {"space": {"C": STRENGTH}, "pruning": {}, "method": "halving"}}, "leave `pruning` out"),
        ({"search": {"space": {"C": STRENGTH}, "halving": {}}}, "`halving` is for the method halving"),
        ({"search": {"method": "halving", "halving": {"resource": "tol"}}}, "give `max_resources`"),
        ({"search": {"method": "halving", "halving": {"min_resources": 9, "max_resources": 3}}}, "more than max"),
        ({"search": {"method": "halving", "halving": {"resource": "max_iter", "max_resources": 9}}}, "leave it out of"),
        ({"search": {"trials": 100_000}}, "less than or equal to 1000"),
        ({"search": {"max_seconds": 0}}, "greater than 0"),
        ({"search": {"parallel": 0}}, "greater than or equal to 1"),
        ({"estimators": "auto"}, "give either `estimator` or `estimators`"),
        ({"estimator": None}, "give either `estimator` or `estimators`"),
        ({"estimator": {"name": "Ridge"}}, "Ridge doesn't support classification"),
        ({"estimator": {"name": "LinearRegresion"}}, "not on the allow-list"),
        ({"estimator": None, "estimators": [TREE], "search": {"space": {"C": STRENGTH}}}, "leave it out of `search`"),
        ({"estimator": None, "estimators": []}, "at least 1 item"),
        ({"estimator": None, "estimators": [TREE] * 30}, "at most 20 items"),
        ({"problem": "anomaly", "target": None, "estimator": {"name": "IsolationForest"}}, "only with one"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(asked: dict[str, Any], told: str) -> None:
    usual = {"name": "m", "dataset": "d@1", "target": "t", "problem": "classification", "estimator": LOGISTIC}
    given = {name: value for name, value in {**usual, **asked}.items() if value is not None}
    with pytest.raises(pydantic.ValidationError, match=told):
        SearchModel.model_validate(given)


def test_a_grid_of_too_many_points_is_refused() -> None:
    values = {"values": [*range(1, 41)]}
    with pytest.raises(pydantic.ValidationError, match="the grid has 1,600 points"):
        commands.command(search={"method": "grid", "space": {"C": values, "max_iter": values}})


def test_values_may_be_of_any_types_that_differ() -> None:
    values: list[Value] = [None, True, 1, 1.0, "sqrt", [1, 2], [1.0, 2]]
    assert Values(values=values).values == values


@pytest.mark.parametrize("problem", automatic.CANDIDATES)
def test_every_problem_has_estimators_that_usually_do_well(problem: Problem) -> None:
    target = {} if problem == "clustering" else {"target": "t"}
    command = commands.command(problem=problem, estimators="auto", **({"target": None} | target))
    assert len(command.candidates) >= 2
    assert all(candidate.space for candidate in command.candidates)
    assert (command.search_settings.method, command.search_settings.max_seconds) == ("tpe", 600.0)
    assert command.metric == scoring.default_metric(problem)


def test_auto_takes_the_settings_that_are_given() -> None:
    command = commands.command(estimators="auto", search={"trials": 3, "method": "random"})
    assert (command.search_settings.trials, command.search_settings.max_seconds) == (3, None)


def test_only_jobs_may_submit_trials() -> None:
    assert (SEARCH.internal, TRIAL.internal) == (False, True)


def test_a_trials_command_survives_its_way_through_the_database() -> None:
    command = RunTrial(
        name="m",
        dataset="d@1",
        target="t",
        problem="classification",
        estimator=commands.command().candidates[0].to_estimator({"C": 0.1 + 0.2}),
        trial=3,
        candidate=0,
        metric="roc_auc",
        rungs=[20, 60],
        rung=1,
    )
    again = RunTrial.model_validate(command.model_dump(mode="json"))
    assert again == command
    assert again.estimator.params["C"] == 0.1 + 0.2
    assert again.resource == 60
