"""The content types of MLServer's clients: what the values of a request mean."""

import base64
from typing import Any

import orjson
import pytest

from shared import errors
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_forms import ask

NUMBERS = [
    {"name": "a", "datatype": "FP64", "shape": [2], "data": [0.5, -1]},
    {"name": "b", "datatype": "FP64", "shape": [2], "data": [0.25, 2]},
]


def predict(stage: Stage, word: dict[str, Any], **parameters: Any) -> list[Any]:
    inputs = [*NUMBERS, {"name": "word", "datatype": "BYTES", "shape": [2], **word}]
    body = orjson.dumps({"inputs": inputs, **({"parameters": parameters} if parameters else {})})
    outputs: list[Any] = orjson.loads(ask(stage, "/v2/models/mixed/infer", body).body)["outputs"]
    return outputs


def encode(*texts: str) -> list[str]:
    return [base64.b64encode(text.encode()).decode() for text in texts]


def test_texts_are_the_same_however_they_are_sent(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    expected = predict(stage, {"data": ["red", "blue"]})
    packed = encode("red", "blue")
    assert predict(stage, {"data": ["red", "blue"], "parameters": {"content_type": "str"}}) == expected
    assert predict(stage, {"data": packed, "parameters": {"content_type": "base64"}}) == expected
    assert predict(stage, {"data": packed}, content_type="base64") == expected
    assert predict(stage, {"data": ["red", "blue"]}, content_type="pd") == expected
    assert (
        predict(stage, {"data": ["red", "blue"], "parameters": {"content_type": "str"}}, content_type="base64")
        == expected
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ({"data": ["red", "~"], "parameters": {"content_type": "base64"}}, "not base64"),
        ({"data": [*encode("red"), "/w=="], "parameters": {"content_type": "base64"}}, "not base64 of a UTF-8"),
        ({"data": ["red", "blue"], "parameters": {"content_type": "hg_json"}}, "pd, np, str, base64, datetime"),
        ({"data": ["red", "blue"], "parameters": {"content_type": 3}}, "no text"),
        ({"data": ["2026-01-31", "red"], "parameters": {"content_type": "datetime"}}, "holds 'red'"),
        ({"datatype": "FP64", "data": [1, 2], "parameters": {"content_type": "str"}}, "wants the datatype BYTES"),
    ],
)
def test_values_that_are_not_what_they_are_said_to_be_are_refused(
    stage: Stage, word: dict[str, Any], message: str
) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    with pytest.raises(errors.BadDataError, match=message):
        predict(stage, word)


def test_a_content_type_that_nobody_knows_is_refused_for_the_whole_request(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    with pytest.raises(errors.BadDataError, match="of the request is 'pt'"):
        predict(stage, {"data": ["red", "blue"]}, content_type="pt")
