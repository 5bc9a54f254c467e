"""What a search may be asked: checked against the allow-list before it is accepted."""

from typing import Any

import jsonschema
import pydantic
import pytest

from shared import scoring
from shared.training import automatic
from shared.training.estimators.spec import Problem
from shared.training.search.commands import SEARCH, TRIAL, RunTrial, SearchModel
from shared.training.search.spaces import Space, Value, Values
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
        ({"search": {"space": {"C": []}}}, "at least 1 item"),
        ({"search": {"space": {"C": [0.1, 1, 0.1]}}}, "a value is given twice, 0.1"),
        ({"search": {"space": {"C": [0.1, {"a": 1}]}}}, "valid"),
        ({"search": {"space": {"C": [1, "strong"]}}}, "LogisticRegression: `C` is 'strong'; use a number"),
        ({"search": {"space": {"C": "0.1, 1"}}}, "LogisticRegression: `C` is '0.1, 1'; use a number"),
        ({"search": {"space": {"C": [[0.1, 1]]}}}, "LogisticRegression: `C` is \\[0.1, 1\\]; use a number"),
        ({"search": {"space": {"C": [*range(1, 102)]}}}, "at most 100 items"),
        ({"search": {"space": {"solver": ["lbfgs", "sagga"]}}}, "`solver` is 'sagga'; use one of"),
        ({"search": {"space": {"penalty": ["l1", "l2"]}}}, "takes no parameter 'penalty' here; scikit-learn has"),
        ({"search": {"space": {"max_iter": 7}}}, "'max_iter' is given in `params` and in `space`"),
        ({"search": {"space": {"C": {"value": 1}}}}, "Field required"),
        ({"search": {"space": {"Q": {"values": [1]}}}}, "takes no parameter 'Q' here"),
        ({"search": {"space": {"n_jobs": {"values": [1]}}}}, "the worker decides how many threads"),
        ({"search": {"space": {"solver": {"values": ["x" * 2000]}}}}, "at most 1000 characters"),
        ({"search": {"space": {f"p{n}": {"values": [1]} for n in range(30)}}}, "at most 20 items"),
        ({"search": {"space": {"max_iter": {"values": [1]}}}}, "in `params` and in `space`"),
        (
            {"search": {"space": {"C": STRENGTH}, "method": "grid"}},
            "a grid needs a list of values for Logistic",
        ),
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


@pytest.mark.parametrize(
    ("short", "values"),
    [
        ([0.1, 1, 10], [0.1, 1, 10]),
        ([3, None], [3, None]),
        ([True, False], [True, False]),
        (["sqrt", 1, 1.0, True, None], ["sqrt", 1, 1.0, True, None]),
        ([[50], [50, 20]], [[50], [50, 20]]),
        (0.5, [0.5]),
        (False, [False]),
        (None, [None]),
        ("auto", ["auto"]),
    ],
)
def test_a_list_is_short_for_values_and_anything_plain_is_the_only_value(short: Any, values: list[Value]) -> None:
    space: Space = pydantic.TypeAdapter(Space).validate_python({"p": short})
    [dimension] = space.values()
    assert repr(dimension) == repr(Values(values=values))


def test_the_short_form_is_the_long_form_wherever_it_is_read() -> None:
    def search(space: dict[str, Any]) -> SearchModel:
        return commands.command(estimator={"name": "MLPClassifier"}, search={"space": space})

    short = search({"hidden_layer_sizes": [[9], [9, 5]], "alpha": [0.1, 1], "early_stopping": [True], "max_iter": 9})
    long = search(
        {
            "hidden_layer_sizes": {"values": [[9], [9, 5]]},
            "alpha": {"values": [0.1, 1]},
            "early_stopping": {"values": [True]},
            "max_iter": {"values": [9]},
        }
    )
    assert short == long
    assert SearchModel.model_validate(short.model_dump(mode="json")) == long
    assert short.candidates[0].fixed == {"early_stopping": True, "max_iter": 9}


def test_the_schema_shows_every_form() -> None:
    schema = SearchModel.model_json_schema()
    forms = schema["$defs"]["Search"]["properties"]["space"]["additionalProperties"]["oneOf"]
    validator = jsonschema.Draft202012Validator({"oneOf": forms, "$defs": schema["$defs"]})
    for form in ([0.1, 1], [[5], [5, 2]], [None, "l2", True], 3, "saga", None, {"low": 1, "high": 2}, {"values": [1]}):
        assert validator.is_valid(form), form
    assert not validator.is_valid([])
    assert not validator.is_valid({"value": 1})


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
