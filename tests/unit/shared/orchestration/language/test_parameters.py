"""What a run gives, and what it then has."""

from typing import Any

import pytest

from shared import errors
from shared.orchestration.language import document, parameters
from tests.unit.shared.orchestration.language.keeping import make_pipeline


def _pipeline() -> document.Pipeline:
    params = {
        "region": "eu", "folds": {"type": "integer", "default": 5}, "must": {"type": "array"}, "any": None, "rate": 1,
    }  # fmt: skip
    return make_pipeline({"name": "a"}, params=params, concurrency={"key": "${params.region}-${params.folds}"})


def test_what_a_run_does_not_give_has_its_default() -> None:
    bound = parameters.bind(_pipeline(), {"must": [1], "rate": 0.5, "any": {"x": 1}})
    assert bound == {"region": "eu", "folds": 5, "must": [1], "any": {"x": 1}, "rate": 0.5}
    assert parameters.find_concurrency_key(_pipeline(), bound) == "eu-5"


@pytest.mark.parametrize(
    ("given", "pointer", "detail"),
    [
        ({}, "#/params/must", "has no default, so each run must give it"),
        ({"must": [], "regoin": 1}, "#/params/regoin", "did you mean 'region'?"),
        ({"must": [], "region": 1}, "#/params/region", "of the type string, and is the number 1"),
        ({"must": [], "folds": True}, "#/params/folds", "of the type integer, and is true"),
        ({"must": [], "folds": None}, "#/params/folds", "of the type integer, and is null"),
        ({"must": {}}, "#/params/must", "of the type array, and is an object"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(errors.InvalidRequestError) as refused:
        parameters.bind(_pipeline(), given)
    assert [problem["pointer"] for problem in refused.value.problems] == [pointer]
    assert detail in refused.value.problems[0]["detail"]
