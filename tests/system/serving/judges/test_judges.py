"""Clients that others wrote ask the inference server, unmodified, and read what they are meant to read."""

import itertools
import json
import pathlib
import random
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode

from tests import judges
from tests.integration.http.test_fuzz import CHECKS, fuzz
from tests.system.serving.served import asking, await_revision, await_true, deploy, finish
from tests.system_under_test import System

pytestmark = [pytest.mark.judge, pytest.mark.timeout(1200)]

HERE = pathlib.Path(__file__).parent
ROWS = 400
DATATYPES = {"count": "INT64", "size": "FP64", "flag": "BOOL", "word": "BYTES"}
CLOSED = ("trace", "log", "shared_memory")


def make_columns(*, rows: int) -> dict[str, list[Any]]:
    dice = random.Random(11)
    return {
        "count": [dice.randrange(-5, 50) for _ in range(rows)],
        "size": [dice.uniform(-10, 10) for _ in range(rows)],
        "flag": [dice.random() < 0.5 for _ in range(rows)],
        "word": [dice.choice(["red", "green", "ä☃"]) for _ in range(rows)],
    }


def make_table() -> bytes:
    columns = make_columns(rows=200)
    rows = zip(*columns.values(), strict=True)
    lines = [f"{c},{s},{str(f).lower()},{w},{'yes' if c + s > 20 else 'no'}" for c, s, f, w in rows]
    return ("\n".join([",".join([*columns, "great"]), *lines]) + "\n").encode()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a system that serves one deployment."""
    with System(tmp_path_factory.mktemp("judged")) as system:
        system.start(["api", "sweeper", "inference", "ingestion,training"])
        headers = {"Content-Type": "text/csv"}
        finish(system, system.client.post("/v1/datasets/things", content=make_table(), headers=headers))
        order = {
            "dataset": "things@1",
            "target": "great",
            "problem": "classification",
            "estimator": {"name": "LogisticRegression", "params": {"max_iter": 200}},
            "validation": {"method": "hold_out", "test_fraction": 0.3, "seed": 1},
        }
        finish(system, system.client.post("/v1/models/greatness", json=order))
        with asking(system) as client:
            await_revision(client, deploy(system, ("greatness@1", 100)))
            # Else ONNX Runtime might take over between two questions, and its numbers differ in their last digits.
            await_true(lambda: client.get("/v2/models/great").json().get("platform") == "onnxruntime_onnx")
        yield system


@pytest.fixture(scope="module")
def columns() -> dict[str, list[Any]]:
    return make_columns(rows=ROWS)


@pytest.fixture(scope="module")
def expected(system: System, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return what our own protocol predicts, by the names of the outputs that the judges ask for."""
    instances = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with asking(system) as client:
        answer = client.post("/v1/deployments/great/predictions", json={"instances": instances}).json()
    return {name: [row[name] for row in answer["predictions"]] for name in ("prediction", "probability_yes")}


def ask(judge: str, environment: str, system: System, columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Let a judge ask, and return what it says."""
    asked = {
        "address": f"127.0.0.1:{system.inference_port}",
        "key": system.key,
        "deployment": "great",
        "columns": columns,
        "datatypes": DATATYPES,
    }
    # Outside of the checkout, so that it can't read anything of ours.
    with tempfile.TemporaryDirectory() as elsewhere:
        said = subprocess.run(
            [judges.make_environment(environment), "-P", HERE / f"ask_{judge}.py"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
            cwd=elsewhere,
            timeout=120,
        )
    assert said.returncode == 0, said.stderr[-3000:]
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def take(found: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Take the calls whose name begins with a prefix out of what a judge has found."""
    return {what: found.pop(what) for what in list(found) if what.startswith(prefix)}


def test_tritonclient_reads_the_answer_of_every_call(
    system: System, columns: dict[str, list[Any]], expected: dict[str, list[Any]]
) -> None:
    found = ask("triton", "judges", system, columns)
    nothing = {"status": "404", "message": "There is no deployment and no model 'nothing' here."}
    assert found.pop("infer nothing known")["status"] == "400"
    assert "no version '99'" in found.pop("infer a version that is not there")["message"]
    assert found.pop("infer what is not there") == nothing
    assert found.pop("infer without a key")["status"] == "401"
    probabilities = found.pop("infer probabilities")
    assert [row[1] for row in probabilities] == expected["probability_yes"]
    inferred = take(found, "infer ")
    assert len(inferred) == 2 * 2 * 3 * 3 + 3
    for what, outputs in inferred.items():
        assert {name: outputs[name] for name in expected} == expected, what
    assert take(found, "is_") == {
        "is_server_live": True,
        "is_server_ready": True,
        "is_model_ready of it": True,
        "is_model_ready of a version": True,
        "is_model_ready of nothing": False,
    }
    of_nothing = {what: found.pop(what) for what in list(found) if what.endswith("of nothing")}
    assert of_nothing == dict.fromkeys(of_nothing, nothing)
    metadata = take(found, "get_model_metadata")
    assert metadata["get_model_metadata of it"] == metadata["get_model_metadata of a version"]
    assert {each["name"]: each["datatype"] for each in metadata["get_model_metadata of it"]["inputs"]} == DATATYPES
    config = take(found, "get_model_config")["get_model_config of it"]
    assert {each["name"]: each["data_type"] for each in config["input"]} == {
        "count": "TYPE_INT64", "size": "TYPE_FP64", "flag": "TYPE_BOOL", "word": "TYPE_STRING",
    }  # fmt: skip
    statistics = take(found, "get_inference_statistics")
    assert len(statistics) == 3
    for answer in statistics.values():
        [of_version] = answer["model_stats"]
        assert of_version["inference_count"] >= len(inferred) * ROWS
        assert of_version["inference_stats"]["success"]["ns"] > 0
    assert found.pop("get_model_repository_index") == [
        {"name": "great", "version": "1", "state": "READY", "reason": ""},
        {"name": "greatness", "version": "1", "state": "UNAVAILABLE", "reason": "it is loaded when it is asked for"},
    ]
    assert found.pop("get_server_metadata")["name"] == "millrace"
    assert found.pop("load_model") is None
    assert "deployments decide" in found.pop("unload_model")["message"]
    # What this server doesn't have is refused in a form that the client reads.
    assert len(found) == 10
    assert {what: answer for what, answer in found.items() if answer["status"] != "404" or not answer["message"]} == {}
    assert all(any(word in what for word in CLOSED) for what in found)


def test_kserve_reads_predictions_and_readiness(
    system: System, columns: dict[str, list[Any]], expected: dict[str, list[Any]]
) -> None:
    found = ask("kserve", "judges", system, columns)
    assert take(found, "is_") == {
        "is_server_live": True,
        "is_server_ready": True,
        "is_model_ready": True,
        "is_model_ready of nothing": False,
    }
    missing = found.pop("infer what is not there")
    assert (missing["status"], "There is no deployment" in missing["message"]) == (404, True)
    assert set(take(found, "id ").values()) == {"mine"}
    assert found == {
        f"infer {sent} {received}": expected for sent, received in itertools.product((True, False), repeat=2)
    }


def test_a_generated_client_reads_every_answer(
    system: System, columns: dict[str, list[Any]], expected: dict[str, list[Any]]
) -> None:
    found = ask("open_inference", "judges", system, columns)
    assert found.pop("id") == "mine"
    assert take(found, "infer") == dict.fromkeys(("infer", "infer a version", "infer later"), expected)
    assert found["server"]["name"] == "millrace"
    assert found["model"] == found["version"]
    assert {each["name"]: each["datatype"] for each in found["model"]["inputs"]} == DATATYPES
    assert found["nothing"] == {"error": "There is no deployment and no model 'nothing' here."}


def test_mlflow_scores_by_name_and_bare(
    system: System, columns: dict[str, list[Any]], expected: dict[str, list[Any]]
) -> None:
    found = ask("mlflow", "mlflow", system, columns)
    assert "RESOURCE_DOES_NOT_EXIST" in found.pop("nothing")
    versions = take(found, "version ")
    assert len(versions) == 2
    assert len(found) == 8
    assert {what: scores for what, scores in found.items() if scores != expected["prediction"]} == {}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_no_answer_that_the_document_does_not_describe(system: System, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{system.inference_url}/openapi.json")
    headers = {"Authorization": f"Bearer {system.key}"}
    statuses: set[int] = set()

    def call(case: Any) -> None:
        response = case.call(headers=headers)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # A document with an error fails here, as it should.
        names = {"model": "great", "name": "great", "deployment": "great", "version": "1"}
        known = {name: value for name, value in names.items() if f"{{{name}}}" in operation.path}
        fuzz(operation.as_strategy(generation_mode=mode), call)
        if known:
            fuzz(operation.as_strategy(generation_mode=mode, path_parameters=known), call)
        count += 1
    assert count > 30
    assert {200, 400, 404, 422} <= statuses
    assert not {500, 503} & statuses
