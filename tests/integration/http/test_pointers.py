"""A fault is pointed at where it is in the document that was sent, and what would do there is said."""

from typing import Any

import flask.testing
import pydantic
import pytest

from api.intake import validation
from api.training import routes
from shared.ingestion.contract import LoadDataset
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
ASKED: dict[str, Any] = {"dataset": "things@1", "target": "great", "problem": "classification"}
NAMED = {**ASKED, "estimator": {"name": "LogisticRegression"}}
DIMENSIONS = '{"values": […]}, {"low": …, "high": …} or {"int_low": …, "int_high": …}'


def space(given: Any) -> dict[str, Any]:
    """Make a search that tries one parameter."""
    return {**NAMED, "search": {"space": {"C": given}}}


def estimators(*given: Any) -> dict[str, Any]:
    """Make a search among these estimators."""
    return {**ASKED, "estimators": list(given)}


def steps(*given: Any) -> dict[str, Any]:
    """Make an order with a recipe."""
    return {**NAMED, "recipe": {"steps": list(given)}}


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a name for an estimator": (
        estimators("LogisticRegression"),
        "/estimators/0",
        "Input should be an object such as {\"name\": …}; got 'LogisticRegression'",
    ),
    "neither a list nor a word": (
        {**ASKED, "estimators": "all"},
        "/estimators",
        "Input should be a valid list or 'auto'; got 'all'",
    ),
    "no values": (
        space({"values": []}),
        "/search/space/C/values",
        "List should have at least 1 item after validation, not 0",
    ),
    "half a range": (space({"low": 1}), "/search/space/C/high", f"Field required; use {DIMENSIONS}"),
    "a bound that is text": (
        space({"low": 1, "high": "x"}),
        "/search/space/C/high",
        "Input should be a valid number; got 'x'",
    ),
    "a fault of the whole dimension": (
        space({"values": [1, 1]}),
        "/search/space/C",
        "a value is given twice, 1; give each once",
    ),
    "an object for a value": (
        space({"values": [1, [2, {}]]}),
        "/search/space/C/values/1/1",
        "Input should be a valid boolean, a valid integer, a valid number or a valid string",
    ),
    "a value that is too long": (
        space({"values": ["x" * 1001]}),
        "/search/space/C/values/0",
        "String should have at most 1000 characters; got 'xxx",
    ),
    "an unnamed parameter": (
        {**NAMED, "search": {"space": {"": {"values": [1]}}}},
        "/search/space/",
        "String should have at least 1 character; got ''",
    ),
    "a word for a validation": (
        {**NAMED, "validation": "hold_out"},
        "/validation",
        "Input should be an object with `method`, one of 'cross_validation', 'hold_out', 'time_series'; got",
    ),
    "a validation without a method": (
        {**NAMED, "validation": {"folds": 3}},
        "/validation",
        "Input should be an object with `method`, one of 'cross_validation', 'hold_out', 'time_series'",
    ),
    "a word for a search": ({**NAMED, "search": "tpe"}, "/search", "Input should be an object; got 'tpe'"),
    "a list for a recipe": (
        {**NAMED, "recipe": [{"op": "scale"}]},
        "/recipe",
        'Input should be an object such as {"steps": […]}',
    ),
    "a word for a step": (steps("scale"), "/recipe/steps/0", "Input should be an object with `op`, one of 'select', "),
    "a step that lacks a field": (steps({"op": "scale"}), "/recipe/steps/0/columns", "Field required"),
    "a number for columns": (
        steps({"op": "scale", "columns": 3}),
        "/recipe/steps/0/columns",
        "Input should be a valid list or 'numeric', 'categorical', 'temporal' or 'all'; got 3",
    ),
    "a number among columns": (
        steps({"op": "scale", "columns": ["a", 3]}),
        "/recipe/steps/0/columns/1",
        "Input should be a valid string; got 3",
    ),
    "a word for a member": (
        {**ASKED, "estimator": {"name": "VotingClassifier", "estimators": ["GaussianNB"]}},
        "/estimator/estimators/0",
        'Input should be an object such as {"name": …}; got',
    ),
    "a weight below nothing": (
        {**NAMED, "class_weight": {"Yes": -1}},
        "/class_weight/Yes",
        "Input should be greater than or equal to 0; got -1",
    ),
    "a number for weights": (
        {**NAMED, "class_weight": 3},
        "/class_weight",
        "Input should be 'balanced' or a valid dictionary; got 3",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_where_the_document_has_it_and_says_what_would_do(client: Client, name: str) -> None:
    order, pointer, said = FAULTS[name]
    [found] = problem_of(client.post("/v1/models/sought", json=order), 422)["errors"]
    assert found["pointer"] == f"#{pointer}"
    assert found["detail"].startswith(said)


@pytest.mark.parametrize("name", FAULTS)
def test_a_job_is_told_the_same_as_the_route(client: Client, name: str) -> None:
    order, pointer, said = FAULTS[name]
    kind = "training.search" if {"search", "estimators"} & order.keys() else "training.fit"
    asked = {"kind": kind, "params": {**order, "name": "sought"}}
    [found] = problem_of(client.post("/v1/jobs", json=asked), 422)["errors"]
    assert found["pointer"] == f"#/params{pointer}"
    assert found["detail"].startswith(said)


def test_faults_of_several_places_stay_apart(client: Client) -> None:
    order = estimators({"nam": "Ridge"}, {"name": "Ridge", "space": {"alpha": {"values": 3}, "tol": {"values": 1}}})
    problem = problem_of(client.post("/v1/models/sought", json=order), 422)
    assert [one["pointer"] for one in problem["errors"]] == [
        "#/estimators/0/name",
        "#/estimators/0/nam",
        "#/estimators/1/space/alpha/values",
        "#/estimators/1/space/tol/values",
    ]
    assert problem["detail"].startswith("4 fields of the request are invalid: #/estimators/0/name: ")


def test_unions_of_other_roles_are_told_alike() -> None:
    given = {"name": "d", "source": "x", "expectations": ["not_null", {"type": "between", "column": "a", "min": []}]}
    with pytest.raises(pydantic.ValidationError) as caught:
        LoadDataset.model_validate(given)
    found = validation.to_error(caught.value, model=LoadDataset).problems
    assert [one["pointer"] for one in found] == ["#/source", "#/expectations/0", "#/expectations/1/min"]
    assert found[0]["detail"].startswith("Input should be an object with `type`, one of 'upload', 'url', ")
    assert found[2]["detail"] == "Input should be a valid integer, a valid number or a valid string"


def test_of_very_many_faults_the_first_are_told_and_all_are_counted() -> None:
    order = NAMED | {f"field_{number}": 0 for number in range(1_500)}
    with pytest.raises(pydantic.ValidationError) as caught:
        routes.TrainRequest.model_validate(order)
    told = validation.to_error(caught.value, model=routes.TrainRequest)
    assert told.message.startswith("1500 fields")
    assert told.problems[49]["pointer"] == "#/field_49"
