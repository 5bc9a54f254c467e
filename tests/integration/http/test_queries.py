"""Query parameters: what many routes take, and what no route takes."""

import re
from collections.abc import Callable
from typing import Any

import flask
import flask.testing
import pytest
import werkzeug.test

from tests.integration import sample_data, worker
from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
Answer = werkzeug.test.TestResponse
PING: dict[str, Any] = {"kind": "training.ping", "params": {}}
CSV: dict[str, Any] = {"data": b"a\n1\n", "content_type": "text/csv"}
RUN = "tags=nightly,from ci&priority=7&deadline_seconds=3600"


def every_route(app: flask.Flask) -> list[tuple[str, str]]:
    """List every method of every route, with a path that leads there."""
    sample = {"version": "1", "job_id": "training_01M00000000000000000000000", "name": "things"}
    found = []
    for rule in app.url_map.iter_rules():
        values: dict[str, Any] = {name: sample.get(name, "x") for name in rule.arguments}
        with app.test_request_context():
            path = flask.url_for(rule.endpoint, **values)
        found += [(path, method) for method in sorted(rule.methods or ()) if method not in {"OPTIONS", "HEAD"}]
    return found


def test_what_a_route_does_not_take_is_refused_on_every_route_with_what_it_takes(
    app: flask.Flask, client: Client
) -> None:
    document = client.get("/openapi.json").get_json()
    routes = every_route(app)
    assert len(routes) > 50
    for path, method in routes:
        problem = problem_of(client.open(f"{path}?limti=5", method=method, **CSV), 422)
        [found] = problem["errors"]
        assert found["pointer"] == "#/limti"
        with app.test_request_context(path, method=method):
            rule = flask.request.url_rule
        assert rule is not None
        template = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        described = document["paths"].get(template, {}).get(method.lower(), {}).get("parameters", [])
        names = sorted(parameter["name"] for parameter in described if parameter["in"] == "query")
        told = f"permitted are: {', '.join(names)}" if names else "this takes none in the query"
        assert found["detail"] == f"Extra inputs are not permitted; {told}", (path, method)


def test_strangers_learn_nothing_of_what_a_route_takes_and_what_is_no_route_is_told_so(
    app: flask.Flask, client: Client
) -> None:
    problem_of(client_of(app, None).get("/v1/jobs?limti=5"), 401)
    problem_of(client.get("/v1/jbos?limti=5"), 404)
    problem_of(client.put("/v1/jobs?limti=5"), 405)
    several = problem_of(client.get("/v1/jobs?a~/b=1&limit=1&c=2"), 422)
    assert [found["pointer"] for found in several["errors"]] == ["#/a~0~1b", "#/c"]


SUBMITS: dict[str, Callable[[Client, str], Answer]] = {
    "a job": lambda client, query: client.post(f"/v1/jobs{query}", json=PING),
    "bytes": lambda client, query: client.post(f"/v1/datasets/new{query}", **CSV),
    "a source": lambda client, query: client.post(
        f"/v1/datasets/new{query}", json={"source": {"type": "url", "url": "http://example.org/"}}
    ),
    "features": lambda client, query: client.post(
        f"/v1/features/new{query}", json={"dataset": "things@1", "recipe": sample_data.RECIPE}
    ),
    "applying": lambda client, query: client.post(f"/v1/features/shape/apply{query}", json={"dataset": "things@1"}),
    "a model": lambda client, query: client.post(f"/v1/models/new{query}", json=sample_data.TRAINING),
    "an update": lambda client, query: client.post(
        f"/v1/models/greatness/versions/1/updates{query}", json={"dataset": "things@1"}
    ),
    "an export": lambda client, query: client.post(
        f"/v1/models/greatness/versions/1/exports{query}", json={"format": "onnx"}
    ),
    "an evaluation": lambda client, query: client.post(
        f"/v1/evaluations{query}", json={"model": "greatness@1", "dataset": "things@1"}
    ),
    "predictions": lambda client, query: client.post(
        f"/v1/predictions{query}", json={"model": "greatness@1", "dataset": "things@1"}
    ),
    "rows through the queue": lambda client, query: client.post(
        f"/v1/deployments/great/predictions{query}",
        json={"instances": [{"a": 0.5, "b": 0.5, "word": "red"}]},
    ),
    "a log": lambda client, query: client.post(f"/v1/deployments/great/log/dataset{query}", json={}),
    "a split": lambda client, query: client.post(
        f"/v1/datasets/things/split{query}", json={"parts": {"a": 0.5, "b": 0.5}}
    ),
    "a verification": lambda client, query: client.post(f"/v1/storage/verify{query}"),
    "a prune": lambda client, query: client.post(f"/v1/storage/prune{query}", json={}),
    "an archive": lambda client, query: client.post(f"/v1/storage/export{query}", json={"what": "tenant"}),
}


@pytest.mark.parametrize("what", SUBMITS)
def test_every_route_that_submits_takes_tags_priority_and_deadline(populated: Client, what: str) -> None:
    populated.put("/v1/deployments/great", json={"routes": [{"model": "greatness@1"}]})
    answer = SUBMITS[what](populated, f"?{RUN}")
    assert answer.status_code == 202, answer.text
    job = populated.get(answer.get_json()["links"]["self"]).get_json()
    assert (job["tags"][-2:], job["priority"]) == (["nightly", "from ci"], 7)
    assert job["deadline_at"] is not None
    assert populated.get("/v1/jobs?tag=from ci").get_json()["jobs"][0]["id"] == job["id"]


def test_each_job_of_an_import_has_them(populated: Client) -> None:
    packed = sample_data.done(populated, populated.post("/v1/storage/export", json={"what": "tenant"}))
    archive = populated.get(f"/v1/storage/archives/{packed['result']['archive']['id']}/content").data
    answer = populated.post(f"/v1/storage/import?{RUN}", data=archive, content_type="application/x-tar")
    assert answer.status_code == 202, answer.text
    links = {link for name, link in answer.get_json()["links"].items() if name == "self" or "." in name}
    assert len(links) > 1
    for link in links:
        job = populated.get(link).get_json()
        assert (job["tags"], job["priority"]) == (["nightly", "from ci"], 7)


def test_the_document_tells_of_them_wherever_a_job_is_submitted(client: Client) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    submitting = {path for path, methods in paths.items() if "202" in methods.get("post", {}).get("responses", {})}
    assert len(submitting) == 26
    for path in submitting - {"/v1/jobs/{job_id}/cancel", "/v1/pipelines/{name}/runs/{run_id}/cancel"}:
        names = {parameter["name"] for parameter in paths[path]["post"]["parameters"] if parameter["in"] == "query"}
        assert names >= {"tags", "priority", "deadline_seconds"}, path


def test_what_a_job_says_of_itself_counts_before_what_the_query_says(client: Client) -> None:
    jobs = [PING, {**PING, "priority": 0, "tags": ["own"]}, {**PING, "deadline_seconds": None}]
    made = client.post(f"/v1/jobs/batch?{RUN}", json={"jobs": jobs}).get_json()["jobs"]
    shown = [(job["tags"], job["priority"], job["deadline_at"] is None) for job in made]
    assert shown == [(["nightly", "from ci"], 7, False), (["own"], 0, False), (["nightly", "from ci"], 7, True)]
    one = client.post(f"/v1/jobs?{RUN}", json={**PING, "priority": 1}).get_json()
    assert (one["tags"], one["priority"]) == (["nightly", "from ci"], 1)


def test_a_retry_keeps_them_unless_told_otherwise(client: Client) -> None:
    job = client.post(f"/v1/jobs?{RUN}", json=PING).get_json()
    worker.perform(job, body=worker.fail)
    retry = f"{job['links']['self']}/retry"
    same, other = client.post(retry).get_json(), client.post(f"{retry}?priority=0&tags=again").get_json()
    assert (same["tags"], same["priority"], same["deadline_at"] is None) == (job["tags"], 7, False)
    assert (other["tags"], other["priority"], other["deadline_at"] is None) == (["again"], 0, False)
    key = {"Idempotency-Key": "k"}
    assert client.post(f"{retry}?priority=1", headers=key).status_code == 202
    problem_of(client.post(f"{retry}?priority=2", headers=key), 422)


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ("tags=a", ["a"]),
        ("tags=a, b", ["a", "b"]),
        ('tags=["a, b","c"]', ["a, b", "c"]),
        ("tags=[]", []),
        ("tags=ä,%F0%9F%8E%B2", ["ä", "🎲"]),
    ],
)
def test_tags_are_read(client: Client, query: str, tags: list[str]) -> None:
    assert client.post(f"/v1/jobs?{query}", json=PING).get_json()["tags"] == tags


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("tags=", "#/tags"),
        ("tags=a,,b", "#/tags"),
        ("tags=" + "a" * 101, "#/tags"),
        ("tags=" + ",".join("abcdefghijklmnopqrstu"), "#/tags"),
        ("tags=a%0Ab", "#/tags"),
        ('tags=["a"', "#/tags"),
        ("tags=[1]", "#/tags"),
        ("tags=" + "[" * 2900, "#/tags"),
        ("tags=" + "a," * 2000, "#/tags"),
        ("priority=10", "#/priority"),
        ("priority=high", "#/priority"),
        ("deadline_seconds=0", "#/deadline_seconds"),
        ("deadline_seconds=1e9", "#/deadline_seconds"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets/d", "/v1/storage/verify"])
def test_values_that_are_none_are_refused_by_name(client: Client, path: str, query: str, pointer: str) -> None:
    sent: dict[str, Any] = {"json": PING} if path == "/v1/jobs" else CSV
    [found] = problem_of(client.post(f"{path}?{query}", **sent), 422)["errors"]
    assert found["pointer"] == pointer


def test_the_same_bytes_with_other_tags_are_another_request(client: Client) -> None:
    key = {"Idempotency-Key": "k"}
    first = client.post("/v1/datasets/d?tags=a", headers=key, **CSV)
    again = client.post("/v1/datasets/d?tags=a", headers=key, **CSV)
    assert first.get_json()["id"] == again.get_json()["id"]
    problem_of(client.post("/v1/datasets/d?tags=b", headers=key, **CSV), 422)
