"""Bad JSON of every sort is a typed problem, fast and small; good JSON that only looks bad is taken."""

import json
import time
import tracemalloc
from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
PING = b'{"kind": "training.ping", "params": {}}'


def post(client: Client, body: bytes, *, path: str = "/v1/jobs", content_type: str = "application/json") -> Any:
    return client.post(path, data=body, content_type=content_type)


def job(**changes: Any) -> bytes:
    return json.dumps({"kind": "training.ping", "params": {}, **changes}).encode()


UNREADABLE = {
    "empty": (b"", "line 1, column 1"),
    "truncated": (PING[:-2], "line 1"),
    "not a number": (b'{"kind": NaN}', "NaN"),
    "infinity": (b'{"kind": -Infinity}', "-Infinity"),
    "1e999": (b'{"kind": 1e999}', "1e999"),
    "2^63": (b'{"kind": 9223372036854775808}', "9223372036854775808"),
    "-2^63-1": (b'{"kind": -9223372036854775809}', "64 bits"),
    "10k digits": (b'{"kind": ' + b"7" * 10_000 + b"}", "10000 digits"),
    "deep arrays": (b"[" * 100_000, "100 levels"),
    "deep objects": (b'{"a":' * 100_000, "100 levels"),
    "deep and closed": (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", "100 levels"),
    "duplicate names": (b'{"kind": "training.ping", "kind": "training.fit", "params": {}}', "'kind' is repeated"),
    "lone high surrogate": (b'{"kind": "\\ud800"}', "surrogate"),
    "lone low surrogate": (b'{"\\uDC00": 1}', "surrogate"),
    "NUL, escaped": (b'{"kind": "a\\u0000b"}', "NUL"),
    "NUL in a name": (b'{"kind": "training.ping", "params": {"\\u0000": 1}}', "NUL"),
    "NUL after a backslash": (b'{"kind": "\\\\\\u0000"}', "NUL"),
    "NUL, raw": (b'{"kind": "a\x00b"}', "control character"),
    "newline, raw": (b'{"kind": "a\nb"}', "control character"),
    "byte order mark": (b"\xef\xbb\xbf" + PING, "byte order mark"),
    "UTF-16": (PING.decode().encode("utf-16"), "not UTF-8: byte 0xff at position 0"),
    "UTF-16 without a mark": (PING.decode().encode("utf-16-le"), "not JSON"),
    "Latin-1": (b'{"kind": "\xe9"}', "byte 0xe9 at position 10"),
    "surrogate as UTF-8": (b'{"kind": "\xed\xa0\x80"}', "not UTF-8"),
    "two documents": (PING + PING, "Extra data"),
    "trailing comma": (b'{"kind": "a",}', "line 1"),
    "single quotes": (b"{'kind': 'a'}", "line 1"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_body_that_cannot_mean_one_thing_is_400(client: Client, name: str) -> None:
    body, said = UNREADABLE[name]
    assert said in problem_of(post(client, body), 400)["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"kind": "a\\u0000b"}', "#/kind"),
        (b'{"kind": "x", "params": {"\\u0000": 1}}', "#/params"),
        (b'{"kind": "x", "params": {"a": [1, {"b/c~": "\\u0000"}, "\\u0000"]}}', "#/params/a/1/b~1c~0"),
        (b'{"kind": "x", "tags": ["ok", "\\udc00"]}', "#/tags/1"),
    ],
)
def test_a_text_that_no_database_stores_is_pointed_at(client: Client, body: bytes, pointer: str) -> None:
    [found] = problem_of(post(client, body), 400)["errors"]
    assert found["pointer"] == pointer


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"null", "null"),
        (b"[]", "an array"),
        (b"true", "a boolean"),
        (b"1.5", "a number"),
        (b'"text"', "a string"),
        (json.dumps(PING.decode()).encode(), "a string"),
        (json.dumps('{"kind": "training.ping", "params": {"a": NaN, "a": "\\u0000"}}').encode(), "a string"),
    ],
)
def test_a_body_that_is_no_object_is_422_even_when_its_text_is_one(client: Client, body: bytes, said: str) -> None:
    assert said in problem_of(post(client, body), 422)["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        (b'{"params": {}}', "#/kind", "required"),
        (job(more=1), "#/more", "not permitted"),
        (job(priority=True), "#/priority", "True"),
        (job(priority=1.0), "#/priority", "1.0"),
        (job(priority="1"), "#/priority", "'1'"),
        (job(priority=10), "#/priority", "10"),
        (job(deadline_seconds=0), "#/deadline_seconds", "0"),
        (job(deadline_seconds=2**62), "#/deadline_seconds", str(2**62)),
        (job(params=[]), "#/params", "dictionary"),
        (job(params=None), "#/params", "None"),
        (job(params={"more": 1}), "#/params/more", "not permitted"),
        (job(tags=["x" * 101]), "#/tags/0", "100 characters"),
        (job(tags=["a\nb"]), "#/tags/0", "pattern"),
        (job(tags=["a"] * 21), "#/tags", "21"),
        (job(kind="training.nothing"), "#/kind", "training.fit"),
        (job(kind=["training.ping"]), "#/kind", "string"),
        (job(kind="training.fit", params={**sample_data.TRAINING, "name": "A"}), "#/params/name", "'A'"),
    ],
)
def test_a_fault_is_pointed_at_with_the_value_seen(client: Client, body: bytes, pointer: str, said: str) -> None:
    [found] = problem_of(post(client, body), 422)["errors"]
    assert found["pointer"] == pointer
    assert said in found["detail"]


def test_a_fault_deep_in_a_union_is_pointed_at_by_a_true_json_pointer(client: Client) -> None:
    recipe = {"steps": [{"op": "scale", "columns": ["a"]}, {"op": "scale", "columns": [7]}]}
    order = {"dataset": "things@1", "recipe": recipe}
    found = problem_of(client.post("/v1/features/shape", json=order), 422)["errors"]
    assert {one["pointer"] for one in found} <= {"#/recipe/steps/1/columns", "#/recipe/steps/1/columns/0"}
    missing = {"dataset": "things@1", "recipe": {"steps": [{"op": "scale"}]}}
    [found] = problem_of(client.post("/v1/features/shape", json=missing), 422)["errors"]
    assert found["pointer"] == "#/recipe/steps/0/columns"


def test_the_faults_of_a_batch_are_pointed_at_by_their_place(client: Client) -> None:
    jobs = [json.loads(PING), {"kind": "training.ping", "params": {"a/b~c": 1}}]
    [found] = problem_of(client.post("/v1/jobs/batch", json={"jobs": jobs}), 422)["errors"]
    assert found["pointer"] == "#/jobs/1/params/a~1b~0c"
    jobs[1] = {"kind": "training.nothing", "params": {}}
    [found] = problem_of(client.post("/v1/jobs/batch", json={"jobs": jobs}), 422)["errors"]
    assert found["pointer"] == "#/jobs/1/kind"
    jobs[1] = {"kind": "training.fit", "params": {**sample_data.TRAINING, "name": "m"}}
    [found] = problem_of(client.post("/v1/jobs/batch", json={"jobs": jobs}), 422)["errors"]
    assert found["pointer"] == "#/jobs/1/params/dataset"


@pytest.mark.parametrize(
    ("path", "order", "pointer"),
    [
        ("/v1/jobs", {"kind": "training.fit", "params": {**sample_data.TRAINING, "name": "m"}}, "#/params/dataset"),
        ("/v1/models/m", sample_data.TRAINING, "#/dataset"),
        ("/v1/features/f", {"dataset": "things@1", "recipe": sample_data.RECIPE}, "#/dataset"),
        ("/v1/evaluations", {"model": "m@1", "dataset": "things@1"}, "#/model"),
        ("/v1/predictions", {"model": "m@1", "dataset": "things@1"}, "#/model"),
        (
            "/v1/datasets/d",
            {"source": {"type": "upload", "upload": "01JD0000000000000000000000"}},
            "#/source/upload",
        ),
    ],
)
def test_a_reference_to_nothing_is_pointed_at_where_it_stands(
    client: Client, path: str, order: dict[str, Any], pointer: str
) -> None:
    [found] = problem_of(client.post(path, json=order), 422)["errors"]
    assert found["pointer"] == pointer


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "a\\", "\\\\u0000", "😀", "\u202ename", "\ufeffx", "\x7f"])
def test_text_that_only_looks_bad_is_taken_as_it_is(client: Client, text: str) -> None:
    order = {**sample_data.TRAINING, "name": "m", "target": text}
    document = problem_of(client.post("/v1/jobs", json={"kind": "training.fit", "params": order}), 422)
    assert document["errors"][0]["pointer"] == "#/params/dataset"


def test_a_pair_of_surrogates_is_one_letter(client: Client) -> None:
    response = post(client, b'{"kind": "training.ping", "params": {}, "tags": ["\\ud83d\\ude00"]}')
    assert response.get_json()["tags"] == ["😀"]
    assert client.get("/v1/jobs?tag=😀").get_json()["jobs"][0]["tags"] == ["😀"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"])
def test_json_under_each_of_its_names_is_taken(client: Client, kind: str) -> None:
    assert post(client, PING, content_type=kind).status_code == 202


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data", "*/*", "json"]
)
def test_another_type_is_415_and_the_right_one_is_named(client: Client, kind: str) -> None:
    detail = problem_of(post(client, PING, content_type=kind), 415)["detail"]
    assert "'application/json'" in detail


def test_packed_json_is_415(client: Client) -> None:
    response = client.post("/v1/jobs", data=PING, content_type="application/json", headers={"Content-Encoding": "gzip"})
    problem_of(response, 415)


def test_a_body_beyond_the_limit_is_413_and_the_limit_is_named(client: Client) -> None:
    assert "2097152" in problem_of(post(client, job(kind="x" * 2**21)), 413)["detail"]


def test_params_just_below_the_limit_are_taken(client: Client) -> None:
    nulls = [f"{number:095}" for number in range(50)]
    params = {"name": "big", "format": "csv", "csv": {"null_values": nulls}}
    params |= {"types": {f"column {number} {'x' * 180}": "string" for number in range(9_000)}}
    params |= {"source": {"type": "upload", "upload": "01JD0000000000000000000000"}}
    body = json.dumps({"kind": "ingestion.load", "params": params}).encode()
    assert 1.8e6 < len(body) < 2**21
    assert problem_of(post(client, body), 422)["errors"][0]["pointer"] == "#/params/source/upload"


def _hostile() -> dict[str, bytes]:
    many = ",".join(f'"{number}":1' for number in range(150_000))
    empty = b"[" + b"{}," * 600_000 + b"{}]"
    wide = json.dumps({"jobs": [{f"a{number}": 1 for number in range(90)}] * 1000}).encode()
    head = b'{"kind": "training.fit", "params": {"name": "m", "dataset": "d@1", "target": "t", "problem": '
    head += b'"classification", "estimator": {"name": "LogisticRegression", "params": {"C": '
    return {
        "a late duplicate among many names": b"{" + many.encode() + b',"149999":2}',
        "many unknown names": b"{" + many.encode() + b"}",
        "a flood of empty objects": head + empty + b"}}}}",
        "a wide batch of wrong jobs": wide,
        "many brackets": b'{"tags":[' + b"[]," * 600_000 + b"[]]}",
        "many backslashes": b'{"kind": "' + b"\\\\" * 900_000 + b'"}',
    }


@pytest.mark.parametrize("name", list(_hostile()))
def test_a_hostile_body_costs_little_time_and_memory(client: Client, name: str) -> None:
    body = _hostile()[name]
    path = "/v1/jobs/batch" if "batch" in name else "/v1/jobs"
    tracemalloc.start()
    began = time.process_time()
    response = post(client, body, path=path)
    seconds, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status_code in {400, 413, 422}
    problem_of(response, response.status_code)
    assert len(response.data) < 50_000
    assert seconds < 15  # Traced, so several times slower than served; each took minutes or gigabytes once.
    assert peak_bytes < 400e6
