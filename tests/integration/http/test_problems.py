"""Every error is a problem document, also those that nobody wrote; and how much one key may ask for."""

import json
import re
from typing import Any

import flask
import flask.testing
import pytest

from api import errors, rate_limits
from shared import settings
from tests.integration.steps import at_home, client_of, opened, parts_of, problem_of

Client = flask.testing.FlaskClient
PING = {"kind": "training.ping", "params": {}}


def test_a_path_that_is_not_there_is_404_and_says_where_to_look(client: Client) -> None:
    for path in ("/", "/nothing", "/v1", "/v1/nothing", "/openapi", "/v1/jobs/a/b/c"):
        assert "/openapi.json" in problem_of(client.get(path), 404)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/v1/jobs/batch/cancel", "OPTIONS, POST"),
        ("POST", "/v1/kinds", "GET, HEAD, OPTIONS"),
        ("PATCH", "/v1/models/m/aliases/a", "DELETE, OPTIONS, PUT"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("TRACE", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("BREW", "/v1/jobs", "GET, HEAD, OPTIONS, POST"),
    ],
)
def test_a_method_that_is_not_taken_is_405_and_the_right_ones_are_named(
    client: Client, method: str, path: str, allowed: str
) -> None:
    response = client.open(path, method=method)
    assert sorted(response.headers["Allow"].split(", ")) == allowed.split(", ")
    assert allowed in problem_of(response, 405)["detail"]


def test_an_upload_of_another_type_is_415_and_the_right_ones_are_named(client: Client) -> None:
    for kind in ("text/plain", "application/octet-stream", "application/zip", "multipart/form-data", ""):
        detail = problem_of(client.post("/v1/datasets/d", data=b"a\n1\n", content_type=kind), 415)["detail"]
        assert "text/csv" in detail
        assert repr(kind or "missing").strip("'") in detail


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "x" * 1000])
def test_an_upload_packed_otherwise_is_415(client: Client, encoding: str) -> None:
    response = client.post(
        "/v1/datasets/d", data=b"a\n1\n", content_type="text/csv", headers={"Content-Encoding": encoding}
    )
    assert "gzip" in problem_of(response, 415)["detail"]


def test_an_upload_beyond_the_limit_is_413_and_leaves_no_bytes(home: Any, keyring: dict[str, str]) -> None:
    with at_home(home, MAX_UPLOAD_BYTES="2000"), opened() as app:
        client = client_of(app, keyring["admin"])
        response = client.post("/v1/datasets/d", data=b"a\n" * 1001, content_type="text/csv")
        assert "2000" in problem_of(response, 413)["detail"]
        stored = settings.load().storage_path().rglob("*")
        assert not [path for path in stored if path.is_file() and path.suffix != ".lock"]
        assert client.post("/v1/datasets/d", data=b"a\n" * 1000, content_type="text/csv").status_code == 202


def test_an_upload_may_be_larger_than_a_json_body(home: Any, keyring: dict[str, str]) -> None:
    with at_home(home, MAX_BODY_BYTES="2000"), opened() as app:
        client = client_of(app, keyring["admin"])
        assert client.post("/v1/datasets/d", data=b"a\n" * 5000, content_type="text/csv").status_code == 202
        assert "2000" in problem_of(client.post("/v1/jobs", json={**PING, "tags": ["x" * 2000]}), 413)["detail"]


@pytest.mark.parametrize("kind", ["text/csv", "application/json", "application/vnd.apache.parquet"])
def test_an_empty_upload_is_400(client: Client, kind: str) -> None:
    response = client.post("/v1/datasets/d", data=b"", content_type=kind, environ_overrides={"CONTENT_LENGTH": "0"})
    assert "empty" in problem_of(response, 400)["detail"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/datasets/d?expectation=[]", None, "expectations, header, keep, key"),
        ("/v1/jobs", {**PING, "priorty": 1}, "params, "),
        ("/v1/jobs", {"kind": "ingestion.load", "params": {"nam": "d"}}, "mode, name, null_values, on_schema_change"),
        ("/v1/datasets/d", {"source": {"type": "url", "url": "http://a.org/", "headers": {}}}, "are: type, url"),
        ("/v1/storage/prune", {"dry": True}, "dry_run, "),
    ],
)
def test_a_field_that_is_not_permitted_comes_with_those_that_are(
    client: Client, path: str, body: dict[str, Any] | None, said: str
) -> None:
    sent = {"json": body} if body else {"data": b"a\n1\n", "content_type": "text/csv"}
    document = problem_of(client.post(path, **sent), 422)
    details = [problem["detail"] for problem in document["errors"]]
    assert any("not permitted; permitted are: " in detail and said in detail for detail in details)


def test_every_route_tells_what_it_takes(app: flask.Flask) -> None:
    for rule in app.url_map.iter_rules():
        with app.test_request_context():
            flask.request.url_rule = rule
            assert errors._model_of_route("nothing of the kind") is None


@pytest.mark.parametrize(("given", "said"), [("telco", "`telco@latest` or `telco@1`"), ("T@", "`telco@latest`")])
def test_a_reference_without_a_version_is_told_how_to_name_one(client: Client, given: str, said: str) -> None:
    asked = {"dataset": given, "target": "churned", "problem": "binary"}
    document = problem_of(client.post("/v1/jobs", json={"kind": "training.fit", "params": asked}), 422)
    [found] = [one for one in document["errors"] if one["pointer"] == "#/params/dataset"]
    assert found["detail"].endswith("or `telco@1`")
    assert said in found["detail"]


def test_the_unforeseen_is_a_500_whose_id_is_in_the_log_and_whose_secret_is_not(
    app: flask.Flask, client: Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty:
        def submit(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("the user's password is hunter2")

    object.__setattr__(parts_of(app), "submitter", Faulty())
    response = client.post("/v1/jobs", json=PING)
    document = problem_of(response, 500)
    incident = document["instance"].removeprefix("urn:ulid:")
    assert incident in document["detail"]
    assert "hunter2" not in response.text
    written = capfd.readouterr().err + caplog.text
    line = next(line for line in written.splitlines() if incident in line and "request_failed" in line)
    assert "RuntimeError" in line
    assert "hunter2" not in written


def test_the_unforeseen_on_the_way_in_is_a_problem_too(app: flask.Flask, client: Client) -> None:
    class Faulty:
        def check(self, presented: str) -> None:
            raise KeyError(presented)

    object.__setattr__(parts_of(app), "keys", Faulty())
    response = client.get("/v1/jobs")
    problem_of(response, 500)
    assert "mr_" not in response.text


def test_a_key_beyond_its_rate_is_429_and_others_are_not(home: Any, keyring: dict[str, str]) -> None:
    with at_home(home, RATE_LIMIT="5/minute", REDIS_URL="memory://"), opened() as app:
        rate_limits._counter.cache_clear()
        admin, reader, nobody = (client_of(app, key) for key in (keyring["admin"], keyring["reader"], None))
        assert [admin.get("/v1/kinds").status_code for _ in range(5)] == [200] * 5
        response = admin.post("/v1/jobs", json=PING)
        assert "5/minute" in problem_of(response, 429)["detail"]
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert reader.get("/v1/jobs").get_json()["jobs"] == []
        assert nobody.get("/healthz").status_code == 200
        problem_of(nobody.get("/v1/jobs"), 401)


def test_the_rate_is_kept_while_redis_is_away(home: Any, keyring: dict[str, str]) -> None:
    with at_home(home, RATE_LIMIT="3/hour", REDIS_URL="redis://127.0.0.1:1/0"), opened() as app:
        rate_limits._local_counter.cache_clear()
        client = client_of(app, keyring["admin"])
        assert [client.get("/v1/kinds").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_rate_that_cannot_be_read_stops_the_api_at_its_start(home: Any) -> None:
    with at_home(home, RATE_LIMIT="often"), pytest.raises(ValueError, match="MILLRACE_RATE_LIMIT is 'often'"), opened():
        pass


def test_a_problem_says_nothing_of_how_we_are_made(client: Client) -> None:
    for response in (client.get("/v1/nothing"), client.post("/v1/jobs", data=b"{", content_type="application/json")):
        assert not re.search(r"Traceback|\.py|werkzeug|sqlalchemy", response.text, re.IGNORECASE)
        assert "Server" not in response.headers
        assert json.loads(response.data)["status"] == response.status_code
