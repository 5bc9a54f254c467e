"""A request that has only a key is answered as if it had the features of that key, in every protocol."""

import asyncio
import random
import struct
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from shared import database, errors
from shared.prediction import manifests
from shared.processing.tables import feature_publications
from tests.integration import sample_data
from tests.integration.steps import problem_of
from tests.unit.prediction.online.conftest import Stage
from workers.prediction.online.faces.mlflow import Mlflow
from workers.prediction.online.faces.native import Native
from workers.prediction.online.faces.open_inference import OpenInference
from workers.prediction.online.messages import Request, Response
from workers.prediction.online.plane import Plane
from workers.prediction.online.serving import Serving

LOOKUP: dict[str, Any] = {"features": "profile@latest", "key": ["customer"]}
Rows = dict[str, dict[str, Any]]


def make_rows() -> Rows:
    dice = random.Random(11)
    return {
        f"c-{number:03}": {
            "a": round(dice.uniform(-1, 1), 4),
            "b": None if dice.random() < 0.1 else round(dice.uniform(-1, 1), 4),
            "word": dice.choice(["red", "green", "blue"]),
        }
        for number in range(50)
    }


def to_csv(rows: Rows) -> bytes:
    lines = [f"{key},{row['a']},{'' if row['b'] is None else row['b']},{row['word']}" for key, row in rows.items()]
    return "\n".join(["customer,a,b,word", *lines]).encode()


def publish(stage: Stage, rows: Rows, **order: Any) -> dict[str, Any]:
    loaded = sample_data.load(stage.client, "customers", to_csv(rows))["result"]["dataset"]
    order = {"dataset": f"customers@{loaded['version']}", "key": ["customer"], **order}
    done = sample_data.done(stage.client, stage.client.post("/v1/features/profile/publish", json=order))
    stage.chore.do()
    result: dict[str, Any] = done["result"]
    return result


@pytest.fixture(scope="module")
def published(whole_stage: Stage) -> Stage:
    sample_data.load(whole_stage.client, "customers", to_csv(make_rows()))
    fit = {"dataset": "customers@1", "recipe": {"steps": [{"op": "drop", "columns": ["customer"]}]}}
    sample_data.done(whole_stage.client, whole_stage.client.post("/v1/features/profile", json=fit))
    publish(whole_stage, make_rows())
    return whole_stage


@pytest.fixture
def plane() -> Iterator[Plane]:
    plane = Plane()
    yield plane
    plane.close()


def ask(face: Any, path: str, document: Any, **headers: str) -> Response:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("POST", tuple(path.split("/")), named, body, "default")

    async def answer() -> Response:
        try:
            found: Response = await face.answer(request)
        except errors.MillraceError as error:
            found = face.refuse(error)
        return found

    return asyncio.run(answer())


def predict(serving: Serving, plane: Plane, *instances: dict[str, Any], name: str = "great") -> Any:
    answer = ask(Native(serving, plane), f"v1/deployments/{name}/predictions", {"instances": list(instances)})
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


def refused(serving: Serving, plane: Plane, *instances: dict[str, Any]) -> tuple[int, str]:
    answer = ask(Native(serving, plane), "v1/deployments/great/predictions", {"instances": list(instances)})
    return answer.status, orjson.loads(answer.body)["detail"]


def test_a_shadow_gets_what_was_looked_up(published: Stage, plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(plane._recorder.shadows, "offer", lambda _deployed, given, *_, **__: seen.append(dict(given)))
    published.deploy(
        *(("greatness@1", 1), ("greatness@2", 1)),
        lookup=LOOKUP,
        shadow=[{"model": "greatness@2"}],
        sticky_key="customer",
    )
    serving, _ = published.copy(by_library=True)
    rows = make_rows()
    for keys in (["c-000"], list(rows)):
        predict(serving, plane, *({"customer": key} for key in keys))
        assert list(seen.pop()["a"]) == [rows[key]["a"] for key in keys]


def test_all_protocols_answer_a_key_as_they_answer_its_row(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    published.deploy(("greatness@1", 1), name="plain")
    serving, _ = published.copy(by_library=True)
    rows = make_rows()
    whole = predict(serving, plane, *rows.values(), name="plain")
    by_key = predict(serving, plane, *({"customer": key} for key in rows))
    assert by_key["predictions"] == whole["predictions"]
    assert by_key["features"]["version"] == "profile@1"
    assert by_key["features"]["age_seconds"] < 600
    assert "features" not in whole
    expected = [each["prediction"] for each in whole["predictions"]]

    v2, keys = OpenInference(serving, plane), list(rows)
    tensor: dict[str, Any] = {"name": "customer", "shape": [50], "datatype": "BYTES", "data": keys}
    answer = ask(v2, "v2/models/great/infer", {"inputs": [tensor]})
    document = orjson.loads(answer.body)
    assert document["outputs"][0]["data"] == expected
    assert document["parameters"]["features"] == "profile@1"
    assert document["parameters"]["features_age_seconds"] < 600
    blob = b"".join(struct.pack("<I", len(key)) + key.encode() for key in keys)
    tensor = {**tensor, "parameters": {"binary_data_size": len(blob)}}
    del tensor["data"]
    head = orjson.dumps({"inputs": [tensor]})
    answer = ask(v2, "v2/models/great/infer", head + blob, inference_header_content_length=f"{len(head)}")
    assert orjson.loads(answer.body)["outputs"][0]["data"] == expected

    mlflow = Mlflow(serving, plane)
    forms: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": ["customer"], "data": [[key] for key in keys]}},
        {"dataframe_records": [{"customer": key} for key in keys]},
        {"inputs": {"customer": keys}},
        {"instances": [[key] for key in keys]},
    ]
    for given in forms:
        answer = ask(mlflow, "mlflow/great/invocations", given)
        assert orjson.loads(answer.body)["predictions"] == expected, given
        assert dict(answer.headers)["Millrace-Features"] == "profile@1"
        assert int(dict(answer.headers)["Millrace-Features-Age"]) < 600
    answer = ask(mlflow, "mlflow/great/invocations", "\n".join(["customer", *keys]).encode(), content_type="text/csv")
    assert orjson.loads(answer.body)["predictions"] == expected


def test_what_a_request_has_itself_holds_cell_by_cell(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    published.deploy(("greatness@1", 1), name="plain")
    serving, _ = published.copy(by_library=True)
    first, second = make_rows()["c-001"], make_rows()["c-002"]
    mixed = predict(
        serving,
        plane,
        {"customer": "c-001", "a": 0.25},
        {"customer": "c-002", "word": "blue"},
        {"customer": "nobody", **first, "b": 0.5},
    )
    whole = predict(serving, plane, {**first, "a": 0.25}, {**second, "word": "blue"}, {**first, "b": 0.5}, name="plain")
    assert mixed["predictions"] == whole["predictions"]
    own = predict(serving, plane, {**first, "b": 0.5})
    assert own["predictions"] == whole["predictions"][2:]
    assert "features" not in own


def test_unknown_and_absent_keys_are_refused_by_name_in_every_protocol(
    published: Stage, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    serving, _ = published.copy()
    status, detail = refused(serving, plane, {"customer": "c-001"}, {"customer": "nobody"}, {"customer": None})
    assert status == 422
    assert "profile@1 has no features of customer 'nobody' (row 2); customer null (row 3)" in detail
    assert refused(serving, plane, {"a": 1})[0] == 422
    monkeypatch.setattr("workers.prediction.online.lookups.joining.MAX_CELLS", 5)
    assert "send at most 1 rows at once" in refused(serving, plane, {"customer": "c-001"}, {"customer": "c-002"})[1]
    assert "is a key of type string, but holds 1.5 in row 1" in refused(serving, plane, {"customer": 1.5})[1]
    tensor = {"name": "customer", "shape": [1], "datatype": "BYTES", "data": ["nobody"]}
    answer = ask(OpenInference(serving, plane), "v2/models/great/infer", {"inputs": [tensor]})
    assert answer.status == 400
    assert "'nobody' (row 1)" in orjson.loads(answer.body)["error"]
    answer = ask(Mlflow(serving, plane), "mlflow/great/invocations", {"dataframe_records": [{"customer": "nobody"}]})
    assert (answer.status, orjson.loads(answer.body)["error_code"]) == (400, "BAD_REQUEST")


def test_missing_features_are_null_or_defaults_where_the_deployment_says_so(published: Stage, plane: Plane) -> None:
    defaults = {"a": 0.5, "word": "red"}
    published.deploy(("greatness@1", 1), lookup={**LOOKUP, "missing": "null"})
    published.deploy(("greatness@1", 1), name="plain")
    published.deploy(("greatness@1", 1), name="filled", lookup={**LOOKUP, "missing": "default", "defaults": defaults})
    serving, _ = published.copy(by_library=True)
    empty: dict[str, Any] = {"a": None, "b": None, "word": None}
    whole = predict(serving, plane, empty, {**empty, **defaults}, name="plain")["predictions"]
    assert predict(serving, plane, {"customer": "nobody"})["predictions"] == whole[:1]
    assert predict(serving, plane, {"customer": "nobody"}, name="filled")["predictions"] == whole[1:]
    assert predict(serving, plane, {"b": None}, name="filled")["predictions"] == whole[1:]


def test_features_that_are_too_old_are_an_error_of_the_server_or_missing(
    published: Stage, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.deploy(("greatness@1", 1), lookup={**LOOKUP, "max_age_seconds": 3600})
    published.deploy(("greatness@1", 1), name="lenient", lookup={**LOOKUP, "missing": "null", "max_age_seconds": 3600})
    published.deploy(("greatness@1", 1), name="plain")
    serving, _ = published.copy(by_library=True)
    assert predict(serving, plane, {"customer": "c-001"})["predictions"]
    now = time.time()
    monkeypatch.setattr("workers.prediction.online.lookups.joining.time.time", lambda: now + 4000)
    status, detail = refused(serving, plane, {"customer": "c-001"})
    assert status == 503
    assert "the deployment takes none that are older than 3,600 s" in detail
    lenient = predict(serving, plane, {"customer": "c-001"}, name="lenient")
    empty = predict(serving, plane, {"a": None, "b": None, "word": None}, name="plain")
    assert lenient["predictions"] == empty["predictions"]
    assert lenient["features"]["age_seconds"] >= 3990


def test_a_publication_takes_the_place_of_the_one_before_once_it_is_mapped(
    published: Stage, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    serving, watch = published.copy(by_library=True)
    before = predict(serving, plane, {"customer": "c-001"})["predictions"]
    other = {"a": 0.9, "b": 0.9, "word": "green"}
    publish(published, {**make_rows(), "c-001": other, "c-new": other})
    with monkeypatch.context() as patched:
        patched.setattr(published.objects, "fetch", lambda *_, **__: pytest.fail("away"))
        watch.take_new()
        assert predict(serving, plane, {"customer": "c-001"})["predictions"] == before
    watch.look()
    after = predict(serving, plane, {"customer": "c-001"}, {"customer": "c-new"})["predictions"]
    assert after[0] == after[1] != before[0]
    publish(published, make_rows())
    watch.look()
    assert predict(serving, plane, {"customer": "c-001"})["predictions"] == before


def test_a_copy_without_the_table_is_not_ready_and_says_why(
    published: Stage, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    entry = next(iter(manifests.read(published.objects, manifests.find_latest(published.objects)).lookups.values()))
    fetch = published.objects.fetch

    def lose(key: str, **options: Any) -> Any:
        if key == entry["key"]:
            raise FileNotFoundError(key)
        return fetch(key, **options)

    with monkeypatch.context() as patched:
        patched.setattr(published.objects, "fetch", lose)
        serving, _ = published.copy()
    deployed = serving.find("default", "great")
    assert deployed is not None
    assert not deployed.is_ready
    assert serving.explain(deployed) == {"profile@1": "FileNotFoundError"}
    assert refused(serving, plane, {"customer": "c-001"})[0] == 503


def test_until_the_table_is_mapped_an_earlier_revision_goes_on_for_those_who_send_all_columns(
    published: Stage, plane: Plane
) -> None:
    for name in ("great", "lenient", "filled"):
        published.client.delete(f"/v1/deployments/{name}")
    published.deploy(("greatness@1", 1))
    serving, watch = published.copy(by_library=True)
    published.deploy(("greatness@2", 1), lookup=LOOKUP)
    row = make_rows()["c-001"]
    watch.take_new()
    assert predict(serving, plane, row)["versions"] == ["greatness@1"]
    assert refused(serving, plane, {"customer": "c-001"}) == (503, "profile@1 is not loaded on this copy yet.")
    watch.look()
    assert predict(serving, plane, row)["versions"] == ["greatness@2"]
    assert predict(serving, plane, {"customer": "c-001"})["versions"] == ["greatness@2"]


def test_metadata_and_examples_show_the_key_in_place_of_what_is_looked_up(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    serving, _ = published.copy()
    v2 = OpenInference(serving, plane)

    def get(path: str) -> Any:
        request = Request("GET", tuple(path.split("/")), {}, b"", "default")
        return orjson.loads(asyncio.run(v2.answer(request)).body)

    assert [each["name"] for each in get("v2/models/great")["inputs"]] == ["customer"]
    document = get("v2/models/great/docs/dataplane.json")
    operation = document["paths"]["/v2/models/great/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert ask(v2, "v2/models/great/infer", example).status == 200


IMPOSSIBLE: list[tuple[dict[str, Any], str, str]] = [
    ({"features": "nothing@latest"}, "#/lookup/features", "has not been published by customer"),
    ({"features": "profile@9"}, "#/lookup/features", "has not been published by customer"),
    ({"key": ["word"]}, "#/lookup/key", "only by customer"),
    ({"missing": "default"}, "#/lookup", "`defaults` belongs to"),
    ({"missing": "default", "defaults": {"aa": 1}}, "#/lookup/defaults/aa", "there is no column 'aa'"),
    ({"missing": "default", "defaults": {"a": "x"}}, "#/lookup/defaults/a", "takes a finite number"),
]


def test_a_lookup_that_can_not_work_is_refused_with_its_place(published: Stage) -> None:
    for lookup, pointer, said in IMPOSSIBLE:
        document = {"routes": [{"model": "greatness@1"}], "lookup": {**LOOKUP, **lookup}}
        problem = problem_of(published.client.put("/v1/deployments/great", json=document), 422)
        [found] = problem["errors"]
        assert found["pointer"] == pointer
        assert said in found["detail"]


def test_what_is_looked_up_is_shown_kept_and_not_deleted(published: Stage) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    shown = published.client.get("/v1/deployments/great").get_json()
    assert shown["lookup"] == {
        "features": "profile@1",
        "key": ["customer"],
        "missing": "error",
        "defaults": None,
        "max_age_seconds": None,
    }
    rows = {"instances": [{"customer": "c-001"}]}
    problem = problem_of(published.client.post("/v1/deployments/great/predictions", json=rows), 422)
    assert "only the inference server looks profile@1 up by a key" in problem["detail"]
    published.deploy(("greatness@1", 1))
    assert published.client.get("/v1/deployments/great").get_json()["lookup"] is None
    published.client.post("/v1/deployments/great/rollback", json={})
    history = published.client.get("/v1/deployments/great/history?verify=true").get_json()
    assert history["verified"]["whole"]
    assert history["changes"][0]["state"]["lookup"] == shown["lookup"]
    problem = problem_of(published.client.delete("/v1/features/profile/versions/1"), 409)
    assert "'great'" in problem["detail"]
    published.deploy(("greatness@1", 1))
    with database.of_process()["processing"].transactions.begin() as connection:
        kept = connection.execute(sa.select(feature_publications)).mappings().all()
        connection.execute(sa.delete(feature_publications))
    problem_of(published.client.post("/v1/deployments/great/rollback", json={}), 422)
    with database.of_process()["processing"].transactions.begin() as connection:
        connection.execute(sa.insert(feature_publications), [dict(row) for row in kept])
    [publication] = published.client.get("/v1/features/profile/publications").get_json()["publications"]
    assert (publication["features"], publication["rows"], publication["pushed_rows"]) == ("profile@1", 50, 0)


def push(stage: Stage, *rows: dict[str, Any]) -> dict[str, Any]:
    answer = stage.client.put("/v1/features/profile/rows", json={"rows": list(rows)})
    assert answer.status_code == 200, answer.text
    stage.chore.do()
    document: dict[str, Any] = answer.get_json()
    return document


def test_pushed_rows_are_seen_over_what_is_published(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), lookup={**LOOKUP, "max_age_seconds": 3600})
    published.deploy(("greatness@1", 1), name="plain")
    serving, watch = published.copy(by_library=True)
    other: dict[str, Any] = {"a": 0.9, "b": None, "word": "green"}
    pushed = push(published, {"customer": "c-003", "a": 0.125}, {"customer": "c-new", **other})
    assert (pushed["features"], pushed["key"], pushed["rows"]) == ("profile@1", ["customer"], 2)
    push(published, {"customer": "c-003", "word": "blue"}, {"customer": "c-003", "b": None})
    watch.look()
    changed = {**make_rows()["c-003"], "a": 0.125, "word": "blue", "b": None}
    asked = [{"customer": key} for key in ("c-003", "c-new", "c-004")]
    by_key = predict(serving, plane, *asked)["predictions"]
    assert by_key == predict(serving, plane, changed, other, make_rows()["c-004"], name="plain")["predictions"]
    fresh, _ = published.copy(by_library=True)
    assert predict(fresh, plane, *asked)["predictions"] == by_key
    # What is published next takes the place of what was pushed before it was asked for.
    publish(published, make_rows())
    watch.look()
    assert refused(serving, plane, {"customer": "c-new"})[0] == 422
    [publication] = published.client.get("/v1/features/profile/publications").get_json()["publications"]
    assert publication["pushed_rows"] == 0


def test_overlays_stay_few_and_those_that_nobody_needs_are_removed(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), lookup=LOOKUP)
    serving, watch = published.copy(by_library=True)
    for number in range(12):
        push(published, {"customer": f"p-{number}", "a": number / 16, "b": 0.5, "word": "red"})
        watch.look()
    latest = manifests.read(published.objects, manifests.find_latest(published.objects))
    [entry] = latest.lookups.values()
    assert len(entry["overlays"]) <= 3
    assert sum(overlay["rows"] for overlay in entry["overlays"]) == 12
    stored = {listed.key for listed in published.objects.list("Serving-overlays")}
    assert stored == {overlay["key"] for overlay in entry["overlays"]}
    answered = predict(serving, plane, *({"customer": f"p-{number}"} for number in range(12)))["predictions"]
    assert len({each["probability_yes"] for each in answered}) == 12
    publish(published, make_rows())


UNFIT: list[tuple[dict[str, Any], int, str]] = [
    ({"rows": [{"customer": "c-001", "aa": 1}]}, 422, "#/rows/0/aa"),
    ({"rows": [{"customer": "c-001", "a": 1}, {"customer": "c-002", "a": "x"}]}, 422, "#/rows/1/a"),
    ({"rows": [{"a": 1}]}, 422, "#/rows/0"),
    ({"rows": [{"customer": 1.5}]}, 422, "#/rows/0/customer"),
    ({"rows": []}, 422, "#/rows"),
    ({"rows": [{"customer": "c-001"}], "key": ["word"]}, 404, ""),
    ({"rows": [{"customer": "c-001"}], "version": 7}, 404, ""),
]


def test_rows_that_do_not_fit_are_refused_and_none_is_stored(published: Stage) -> None:
    for document, status, pointer in UNFIT:
        problem = problem_of(published.client.put("/v1/features/profile/rows", json=document), status)
        assert [each["pointer"] for each in problem.get("errors", [])][:1] == ([pointer] if pointer else [])
    [publication] = published.client.get("/v1/features/profile/publications").get_json()["publications"]
    assert publication["pushed_rows"] == 0


def test_a_member_of_a_graph_looks_up_its_own(published: Stage, plane: Plane) -> None:
    published.deploy(("greatness@1", 1), name="known", lookup=LOOKUP)
    published.deploy(("greatness@2", 1), name="told")
    published.deploy(name="by-channel", switch={"column": "channel", "cases": {"web": "known"}, "default": "told"})
    serving, _ = published.copy(by_library=True)
    graph = serving.find("default", "by-channel")
    assert graph is not None
    inputs = [column["name"] for column in graph.list_inputs(graph.versions[0])]
    assert inputs == ["customer", "a", "b", "word", "channel"]
    example = graph.make_example(graph.versions[0])
    assert example["channel"] == "web"
    row = make_rows()["c-001"]
    rows = [{"channel": "web", "customer": "c-000"}, {"channel": "shop", **row}]
    answer = predict(serving, plane, *rows, name="by-channel")
    known, told = (predict(serving, plane, row, name=name) for name, row in zip(("known", "told"), rows, strict=True))
    assert answer["predictions"] == [*known["predictions"], *told["predictions"]]
    assert answer["features"] == known["features"]
    assert predict(serving, plane, {**example, "a": 0.5}, name="by-channel")["versions"] == ["greatness@1"]
