"""Graphs on a copy: their members answer as they do alone, are followed at once, and every protocol tells of them."""

import asyncio
import json
import threading
from typing import Any

import openapi_spec_validator
import orjson
import pytest

from shared import database, errors
from shared.prediction import prediction_ids, signing_keys
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from tests.unit.prediction.online.test_forms import ask
from tests.unit.prediction.online.test_onnx_models import export_all
from workers.prediction.online import breaker, bulkhead, measures
from workers.prediction.online.deployed import Deployed
from workers.prediction.online.faces.native import Native
from workers.prediction.online.faces.open_inference import OpenInference
from workers.prediction.online.merging import Prediction
from workers.prediction.online.messages import Request
from workers.prediction.online.plane import Plane, TimeoutExceededError
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.serving import Serving
from workers.prediction.online.versions import Version

ROWS: list[dict[str, Any]] = [{"a": 0.5, "b": 0.1, "word": "red"}, {"a": -0.25, "b": None, "word": "unseen"}]
ENSEMBLE = {"members": ["first", "second"], "combine": "mean"}
COLUMNS: dict[str, list[Any]] = {name: [row[name] for row in ROWS] for name in ("a", "b", "word")}


@pytest.fixture
def pair(stage: Stage) -> Stage:
    """Deploy two versions apart, as `first` and `second`."""
    stage.deploy(("greatness@1", 1), name="first")
    stage.deploy(("greatness@2", 1), name="second")
    return stage


@pytest.fixture(scope="module")
def verdict(whole_stage: Stage) -> Stage:
    """Train a model on what another one has predicted of the same rows."""
    client = whole_stage.client
    order = {"model": "greatness@1", "dataset": "things@1", "prefix": "first_", "name": "seen"}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    sample_data.done(client, client.post("/v1/models/verdict", json={**sample_data.TRAINING, "dataset": "seen@1"}))
    return whole_stage


def find(serving: Serving, name: str) -> Deployed:
    found = serving.find("default", name)
    assert found is not None
    return found


def predict(plane: Plane, target: Deployed, given: dict[str, list[Any]] | None = None) -> Prediction:
    given = given or COLUMNS
    return asyncio.run(
        plane.within(target, lambda: plane.predict(target, given, rows_count=len(next(iter(given.values())))))
    )


def native(stage: Stage, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    response = ask(stage, f"/v1/deployments/{name}/predictions", orjson.dumps({"instances": rows}))
    assert response.status == 200, response.body
    document: dict[str, Any] = orjson.loads(response.body)
    return document


def failing(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError


def test_an_ensemble_answers_the_mean_of_what_its_members_say_alone(pair: Stage) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    answer = native(pair, "both", ROWS)
    alone = [native(pair, name, ROWS)["predictions"] for name in ("first", "second")]
    for row, (one, other) in zip(answer["predictions"], zip(*alone, strict=True), strict=True):
        yes = (one["probability_yes"] + other["probability_yes"]) / 2
        assert row == {
            "prediction": "yes" if yes > 0.5 else "no",
            "probability_no": pytest.approx(1 - yes),
            "probability_yes": pytest.approx(yes),
        }
    assert answer["versions"] == [f"both@{answer['deployment']['revision']}"] * 2
    assert {name: each["versions"] for name, each in answer["members"].items()} == {
        "first": ["greatness@1"],
        "second": ["greatness@2"],
    }
    assert answer["failed_members"] == {}


def test_a_member_that_fails_is_named_in_every_protocol(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    real = Version.predict

    def fail(version: Version, given: Any, **options: Any) -> Any:
        # The row with which a version is warmed has a 0.
        is_bad = version.pin.label == "greatness@2" and given["a"][0] != 0
        return failing() if is_bad else real(version, given, **options)

    monkeypatch.setattr(Version, "predict", fail)
    alone = native(pair, "first", ROWS)["predictions"]
    answer = native(pair, "both", ROWS)
    assert answer["predictions"] == alone
    assert answer["failed_members"] == {"second": "greatness@2 has failed (ZeroDivisionError)"}
    assert answer["members"].keys() == {"first"}
    inputs: list[dict[str, Any]] = [
        {"name": name, "datatype": "BYTES" if name == "word" else "FP64", "shape": [1], "data": [ROWS[0][name]]}
        for name in ROWS[0]
    ]
    v2 = ask(pair, "/v2/models/both/infer", orjson.dumps({"inputs": inputs}))
    assert orjson.loads(v2.body)["parameters"]["failed_members"] == "second"
    assert orjson.loads(v2.body)["model_version"] == f"{answer['deployment']['revision']}"
    mlflow = ask(pair, "/mlflow/both/invocations", orjson.dumps({"dataframe_records": ROWS}))
    assert orjson.loads(mlflow.body) == {"predictions": [row["prediction"] for row in alone]}
    assert all(dict(each.headers)["Millrace-Failed-Members"] == "second" for each in (v2, mlflow))
    pair.deploy(name="both", ensemble={**ENSEMBLE, "min_members": 2})
    with pytest.raises(errors.UnavailableError, match="1 of 2 members could answer, and 2 must"):
        native(pair, "both", ROWS)


def test_a_member_that_keeps_failing_is_not_asked_for_a_while(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    serving, _ = pair.copy(by_library=True)
    plane, asked = Plane(), list[int]()
    [bad] = find(serving, "second").versions
    healthy = bad.predict

    def fail(*_: Any, **__: Any) -> Any:
        asked.append(1)
        failing()

    monkeypatch.setattr(bad, "predict", fail)
    before = measures.read_totals()
    for _ in range(breaker.MAX_FAILURES + 2):
        failed = predict(plane, find(serving, "both")).failed_members
    assert len(asked) == breaker.MAX_FAILURES
    assert failed is not None
    assert "left out" in failed["second"]
    # As if the pause were over.
    plane._breaker._open_until[bad] = 0.0
    monkeypatch.setattr(bad, "predict", healthy)
    assert predict(plane, find(serving, "both")).failed_members == {}
    plane.close()
    totals = measures.read_totals()
    key = ("default", "both", find(serving, "both").versions[0].pin.label, "answered")
    grown = [totals[(measures.PREDICTIONS, "total", key)] - before[(measures.PREDICTIONS, "total", key)]]
    assert grown == [breaker.MAX_FAILURES + 3]
    of_member = ("default", "second", "greatness@2", "failed")
    assert totals[(measures.PREDICTIONS, "total", of_member)] >= breaker.MAX_FAILURES
    left_out = measures.LEFT_OUT.labels("default", "both", "second")
    assert left_out._value.get() >= breaker.MAX_FAILURES + 2


def test_a_members_change_is_live_in_the_graph_with_it(pair: Stage) -> None:
    pair.deploy(name="by-word", switch={"column": "word", "cases": {"red": "first"}, "default": "second"})
    serving, watch = pair.copy(by_library=True)
    plane = Plane()
    revision = find(serving, "by-word").revision
    assert predict(plane, find(serving, "by-word")).versions == ["greatness@1", "greatness@2"]
    pair.deploy(("greatness@2", 1), name="first")
    watch.look()
    answer = predict(plane, find(serving, "by-word"))
    plane.close()
    assert answer.versions == ["greatness@2"] * 2
    assert find(serving, "by-word").revision == revision


def test_a_switch_answers_what_each_case_says_alone_in_the_order_of_the_rows(pair: Stage) -> None:
    pair.deploy(name="by-word", switch={"column": "word", "cases": {"red": "first", "unseen": "second"}})
    rows = [ROWS[index % 2] for index in range(7)]
    answer = native(pair, "by-word", rows)
    alone = {name: native(pair, name, rows) for name in ("first", "second")}
    expected = ["first", "second"] * 3 + ["first"]
    assert answer["predictions"] == [alone[name]["predictions"][row] for row, name in enumerate(expected)]
    assert answer["versions"] == [f"greatness@{1 + (name == 'second')}" for name in expected]
    with pytest.raises(errors.BadDataError, match="row 1 has 'blue'"):
        native(pair, "by-word", [{**ROWS[0], "word": "blue"}])


def test_a_step_gets_what_the_one_before_it_says_and_a_request_needs_only_the_rest(
    verdict: Stage, stage: Stage
) -> None:
    stage.deploy(("greatness@1", 1), name="first")
    stage.deploy(("verdict@1", 1), name="judge")
    stage.deploy(name="chain", sequence={"steps": ["first", "judge"], "answer": "all"})
    serving, _ = stage.copy(by_library=True)
    chain, judge = find(serving, "chain"), find(serving, "judge")
    inputs = {column["name"] for column in chain.list_inputs(chain.versions[0])}
    assert inputs == {"a", "b", "word"}
    needed = {column["name"] for column in judge.list_inputs(judge.versions[0])}
    assert "first_probability_yes" in needed
    answer = native(stage, "chain", ROWS)
    first = native(stage, "first", ROWS)["predictions"]
    given = [
        {**row, **{f"first_{name}": value for name, value in of.items()}} for row, of in zip(ROWS, first, strict=True)
    ]
    expected = native(stage, "judge", given)["predictions"]
    for row, last, earlier in zip(answer["predictions"], expected, first, strict=True):
        assert row == {**last, **{f"first_{name}": value for name, value in earlier.items()}}
    assert answer["versions"] == ["verdict@1"] * 2


@pytest.mark.parametrize(
    "graph",
    [
        {"ensemble": ENSEMBLE},
        {"ensemble": {**ENSEMBLE, "combine": "vote"}},
        {"switch": {"column": "region", "cases": {"7": "first"}, "default": "second"}},
        {"switch": {"column": "a", "cases": {"7": "first"}}},
        {"sequence": {"steps": ["first", "second"]}},
    ],
)
def test_the_document_of_a_graph_has_an_example_that_is_answered(pair: Stage, graph: dict[str, Any]) -> None:
    pair.deploy(name="graph", **graph)
    face = OpenInference(pair.copy()[0], Plane())

    def fetch(path: str) -> Any:
        return json.loads(asyncio.run(face.answer(Request("GET", tuple(path.split("/")), {}, b"", "default"))).body)

    document = fetch("v2/models/graph/docs/dataplane.json")
    assert list(openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()) == []
    examples = {
        path: methods["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, methods in document["paths"].items()
        if "post" in methods
    }
    answers = [ask(pair, path, json.dumps(example).encode()) for path, example in examples.items()]
    assert [answer.status for answer in answers] == [200, 200, 200]
    metadata = fetch("v2/models/graph")
    assert metadata["platform"] == "ensemble"
    infer = next(orjson.loads(answer.body) for answer in answers if b"outputs" in answer.body)
    assert {each["name"] for each in infer["outputs"]} == {each["name"] for each in metadata["outputs"]}
    by_number = ask(pair, f"/v2/models/graph/versions/{metadata['versions'][0]}/infer", _first_body(examples))
    assert orjson.loads(by_number.body)["outputs"] == infer["outputs"]
    described = {each["name"]: each["datatype"] for each in metadata["outputs"]}
    assert described == {each["name"]: each["datatype"] for each in infer["outputs"]}
    [revision] = metadata["versions"]
    assert fetch("v2/models/graph/config")["parameters"] == {"revision": {"string_value": revision}}
    assert [each["version"] for each in fetch("v2/models/graph/stats")["model_stats"]] == [revision]


def _first_body(examples: dict[str, Any]) -> bytes:
    return next(json.dumps(example).encode() for path, example in examples.items() if path.startswith("/v2"))


def test_a_copy_says_which_members_can_answer_and_why_others_cannot(
    pair: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    pair.deploy(name="chain", sequence={"steps": ["first", "second"]})
    real = pair.objects.fetch
    [second] = [
        pin["key"] for pin in _read_versions(pair).values() if (pin["name"], pin["version"]) == ("greatness", 2)
    ]

    def fetch(key: str, **options: Any) -> Any:
        if key == second:
            raise errors.RetryableError("away")
        return real(key, **options)

    monkeypatch.setattr(pair.objects, "fetch", fetch)
    serving, _ = pair.copy(by_library=True)
    face, plane = Native(serving, Plane()), Plane()

    def show(name: str) -> Any:
        return json.loads(
            asyncio.run(face.answer(Request("GET", ("v1", "deployments", name), {}, b"", "default"))).body
        )

    shown = show("both")
    assert shown["members"] == {"first": True, "second": False}
    assert (shown["ready"], shown["not_loaded"]) == (True, {"greatness@2": "away"})
    assert show("chain")["ready"] is False
    assert predict(plane, find(serving, "both")).failed_members == {
        "second": "No version of the deployment is loaded on this copy yet; try again in a moment."
    }
    with pytest.raises(errors.UnavailableError, match="'chain' names are loaded"):
        predict(plane, find(serving, "chain"))
    plane.close()


def _read_versions(stage: Stage) -> dict[str, Any]:
    manifest = stage.copy()[0].manifest
    assert manifest is not None
    return manifest.versions


def test_members_that_are_quick_make_a_graph_that_is(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    pair.deploy(name="by-word", switch={"column": "word", "cases": {"red": "first"}, "default": "second"})
    export_all(pair)
    monkeypatch.setattr(bulkhead, "_TOO_LONG_SECONDS", 60.0)
    monkeypatch.setattr(Version, "_measure_quick_rows", lambda *_: 8)
    serving, _ = pair.copy()
    assert [find(serving, name).versions[0].quick_rows for name in ("both", "by-word")] == [4, 8]
    # What turns out not to be quick is done again, and shadows would get it twice.
    pair.deploy(("greatness@1", 1), name="first", shadow=[{"model": "greatness@2"}])
    shadowed, _ = pair.copy()
    assert find(shadowed, "both").versions[0].quick_rows == 0
    before = measures.read_totals()

    async def asked(name: str, body_bytes: int | None) -> tuple[Prediction, bool]:
        plane, loop = Plane(), threading.get_ident()
        target = find(serving, name)

        def work() -> tuple[Prediction, bool]:
            return plane.predict(target, COLUMNS, rows_count=2), threading.get_ident() == loop

        try:
            return await plane.within(target, work, body_bytes=body_bytes)
        finally:
            plane.close()

    for name in ("both", "by-word"):
        inline, is_inline = asyncio.run(asked(name, 100))
        threaded, stays_inline = asyncio.run(asked(name, None))
        assert (is_inline, stays_inline) == (True, False)
        assert inline == threaded
    totals = measures.read_totals()
    for name, calls in (("both", 2), ("by-word", 2), ("first", 4)):
        label = find(serving, name).versions[0].pin.label
        labels = (measures.PREDICTIONS, "total", ("default", name, label, "answered"))
        assert totals[labels] - before[labels] == calls


def test_the_threads_of_a_graph_are_its_own(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE, max_concurrency=1, max_waiting=0, timeout_seconds=0.2)
    serving, _ = pair.copy(by_library=True)
    [slow] = find(serving, "second").versions
    gate, real = threading.Event(), slow.predict

    def hang(*args: Any, **options: Any) -> Any:
        gate.wait(30)
        return real(*args, **options)

    monkeypatch.setattr(slow, "predict", hang)

    async def both() -> None:
        plane = Plane()
        try:
            target = find(serving, "both")
            with pytest.raises(TimeoutExceededError):
                await plane.within(target, lambda: plane.predict(target, COLUMNS, rows_count=2))
            with pytest.raises(errors.TooManyRequestsError):
                await plane.within(target, lambda: plane.predict(target, COLUMNS, rows_count=2))
            first = find(serving, "first")
            await plane.within(first, lambda: plane.predict(first, COLUMNS, rows_count=2))
        finally:
            gate.set()
            plane.close()

    asyncio.run(both())


def test_feedback_on_a_graphs_answer_is_the_graphs_and_on_a_members_the_members(pair: Stage) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    pair.deploy(name="by-word", switch={"column": "word", "cases": {"red": "first"}, "default": "second"})
    with database.of_process()["prediction"].transactions.begin() as connection:
        keys = signing_keys.get_or_create(connection)
    recorder = Recorder()
    recorder.take_keys(keys)
    plane, (serving, _) = Plane(recorder), pair.copy(by_library=True)
    secrets = {key["id"]: bytes.fromhex(key["secret"]) for key in keys}
    both, switched = (predict(plane, find(serving, name)) for name in ("both", "by-word"))
    revisions = {name: find(serving, name).revision for name in ("both", "by-word", "second")}
    plane.close()

    def read(text: str) -> tuple[Any, ...]:
        read = prediction_ids.read(text, tenant_id="default", secrets=secrets)
        return read.deployment, read.revision, read.answer.model, read.answer.version, read.answer.arm, read.label

    revision = revisions["both"]
    assert read(f"{both.ids[0]}.0") == ("both", revision, "both", revision, "", both.values[0][0])
    assert read(f"{switched.ids[0]}.1") == (
        *("by-word", revisions["by-word"]),
        *("greatness", 2, "", switched.values[0][1]),
    )
    assert both.members is not None
    assert read(f"{both.members['second'].ids[0]}.0")[:4] == ("second", revisions["second"], "greatness", 2)
    for name, prediction in (("both", both), ("by-word", switched), ("first", both.members["first"])):
        items = [{"prediction_id": f"{prediction.ids[0]}.{row}", "actual": "yes"} for row in range(2)]
        stored = pair.client.post(f"/v1/deployments/{name}/feedback", json={"items": items})
        assert stored.get_json() == {"stored": 2, "errors": []}, name


def test_what_columns_add_is_asked_of_the_members(pair: Stage) -> None:
    pair.deploy(name="both", ensemble=ENSEMBLE)
    body = orjson.dumps({"instances": ROWS, "contributions": True})
    with pytest.raises(errors.InvalidRequestError, match="it is answered by other deployments"):
        ask(pair, "/v1/deployments/both/predictions", body)
