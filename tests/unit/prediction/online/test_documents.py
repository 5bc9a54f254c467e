"""The OpenAPI documents: valid, with every route that answers, and with an example that is answered."""

import asyncio
import json
from typing import Any

import openapi_spec_validator
import pytest

from shared import errors
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_forms import ask
from workers.prediction.online.faces import documents, pages
from workers.prediction.online.faces.open_inference import OpenInference
from workers.prediction.online.messages import Request
from workers.prediction.online.plane import Plane


def fetch(stage: Stage, path: str) -> Any:
    serving, _ = stage.copy()
    face = OpenInference(serving, Plane())
    return json.loads(asyncio.run(face.answer(Request("GET", tuple(path.split("/")), {}, b"", "default"))).body)


def test_the_document_of_all_routes_is_valid() -> None:
    document = documents.describe_server()
    assert list(openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()) == []
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations) > 30
    assert all(path in pages.list_routes().decode() for path in document["paths"])


def test_a_deployment_has_a_document_whose_example_is_answered(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    document = fetch(stage, "v2/models/mixed/docs/dataplane.json")
    assert list(openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()) == []
    examples = {
        path: methods["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, methods in document["paths"].items()
        if "post" in methods
    }
    assert len(examples) == 3
    for path, example in examples.items():
        assert ask(stage, path, json.dumps(example).encode()).status == 200
    [row] = examples["/v1/deployments/mixed/predictions"]["instances"]
    assert row.keys() == {"a", "b", "word"}
    assert row["word"] in ("red", "green", "blue")


def test_configuration_and_statistics_are_of_a_deployment_or_a_version(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), ("greatness@2", 1), name="mixed", max_concurrency=3)
    for path in ("v2/models/mixed/config", "v2/models/mixed/versions/2/config"):
        config = fetch(stage, path)
        assert [each["data_type"] for each in config["input"]] == ["TYPE_FP64", "TYPE_FP64", "TYPE_STRING"]
        assert (config["name"], config["instance_group"][0]["count"]) == ("mixed", 3)
    shown = [each["version"] for each in fetch(stage, "v2/models/mixed/stats")["model_stats"]]
    assert sorted(shown) == ["1", "2"]
    assert [each["version"] for each in fetch(stage, "v2/models/mixed/versions/2/stats")["model_stats"]] == ["2"]
    assert sorted(each["version"] for each in fetch(stage, "v2/models/stats")["model_stats"]) == ["1", "2"]


def test_statistics_grow_by_what_is_answered_and_refused(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="mixed")
    [before] = fetch(stage, "v2/models/mixed/stats")["model_stats"]
    rows = [{"a": 0.5, "b": 1, "word": "red"}] * 3
    ask(stage, "v1/deployments/mixed/predictions", json.dumps({"instances": rows}).encode())
    with pytest.raises(errors.BadDataError):
        ask(stage, "v1/deployments/mixed/predictions", b'{"instances": [{"a": "x", "b": 1, "word": "red"}]}')
    [after] = fetch(stage, "v2/models/mixed/stats")["model_stats"]
    grown = {name: after[name] - before[name] for name in ("inference_count", "execution_count")}
    assert grown == {"inference_count": 3, "execution_count": 1}
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    assert after["inference_stats"]["queue"]["count"] - before["inference_stats"]["queue"]["count"] == 2
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]


def test_a_deployment_called_stats_is_described_where_it_is(stage: Stage) -> None:
    stage.deploy(("greatness@1", 1), name="stats")
    assert fetch(stage, "v2/models/stats")["name"] == "stats"
