"""Who may do what: every rule and method, with every sort of key."""

import flask
import flask.testing
import pytest

from api import auth
from api.intake import keys
from tests.integration import sample_data
from tests.integration.steps import client_of, opened, parts_of, problem_of

PUBLIC = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/<path:name>"}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
ENDED = "/v1/jobs/training_01JD0000000000000000000000"


def paths_of(app: flask.Flask) -> list[tuple[str, str]]:
    """List every method and path behind a key, with plausible names in the path."""
    known = {"<job_id>": ENDED[9:], "<evaluation_id>": ENDED[9:], "<name>": "things", "<alias>": "best"}
    found = []
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<int:version>", "1").replace("<version:version>", "1")
        for part, value in known.items():
            path = path.replace(part, value)
        found += [(method, path) for method in sorted(rule.methods or ()) if rule.rule not in PUBLIC]
    return found


def test_every_rule_names_a_scope_and_only_these_are_public(app: flask.Flask) -> None:
    for rule in app.url_map.iter_rules():
        scope = auth.scope_of(app, rule.endpoint)
        expected = "public" if rule.rule in PUBLIC else "write" if (rule.methods or set()) & WRITES else "read"
        assert scope == expected, rule


def test_no_rule_answers_without_a_key_whatever_the_method(app: flask.Flask) -> None:
    nobody = client_of(app, None)
    # From this host metrics need no key.
    nobody.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    asked = paths_of(app)
    assert len(asked) > 60
    for method, path in asked:
        response = nobody.open(path, method=method)
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        if method != "HEAD":
            problem_of(response, 401)


@pytest.mark.parametrize("holder", ["revoked", "expired"])
def test_no_rule_answers_a_key_that_has_ended(app: flask.Flask, keyring: dict[str, str], holder: str) -> None:
    client = client_of(app, keyring[holder])
    client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    for method, path in paths_of(app):
        assert client.open(path, method=method).status_code == 401, (method, path)


def test_a_reader_may_not_write_and_a_key_without_scopes_may_nothing(app: flask.Flask, keyring: dict[str, str]) -> None:
    reader, scopeless = client_of(app, keyring["reader"]), client_of(app, keyring["scopeless"])
    scopeless.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    for method, path in paths_of(app):
        assert scopeless.open(path, method=method).status_code == 403, (method, path)
        if method in WRITES:
            detail = problem_of(reader.open(path, method=method), 403)["detail"]
            assert "'write'" in detail
            assert "read" in detail
    assert reader.get("/v1/kinds").status_code == 200


def test_a_key_for_predictions_opens_nothing_here(app: flask.Flask) -> None:
    key = keys.Keys(parts_of(app).databases).create("caller", scopes=["predict"])
    caller = client_of(app, key)
    caller.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    for method, path in paths_of(app):
        assert caller.open(path, method=method).status_code == 403, (method, path)


def test_a_writer_may_read_and_write(app: flask.Flask, keyring: dict[str, str]) -> None:
    writer = client_of(app, keyring["writer"])
    assert writer.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).status_code == 202
    assert writer.get("/v1/jobs").status_code == 200


@pytest.mark.usefixtures("home")
def test_a_route_that_names_no_scope_is_closed_even_to_an_administrator(keyring: dict[str, str]) -> None:
    with opened(fresh=True) as app:
        app.add_url_rule("/v1/forgotten", "forgotten", lambda: "open")
        app.add_url_rule("/forgotten", "forgotten_too", lambda: "open")
        for path in ("/v1/forgotten", "/forgotten"):
            problem_of(client_of(app, None).get(path), 401)
            problem_of(client_of(app, keyring["admin"]).get(path), 403)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer mr_short",
        "Bearer mr_aaaaaaaaaa_" + "A" * 43,
        "Bearer " + "x" * 10_000,
        "bearer\tmr_aaaaaaaaaa_" + "A" * 43,
    ],
)
def test_what_is_no_key_is_401(app: flask.Flask, presented: str) -> None:
    problem_of(client_of(app, None).get("/v1/jobs", headers={"Authorization": presented}), 401)


def test_a_key_with_another_secret_behind_its_prefix_is_401(app: flask.Flask, keyring: dict[str, str]) -> None:
    forged = keyring["admin"][:-43] + "A" * 43
    problem_of(client_of(app, forged).get("/v1/jobs"), 401)


def test_the_word_bearer_is_read_in_any_case(app: flask.Flask, keyring: dict[str, str]) -> None:
    headers = {"Authorization": f"bearer  {keyring['admin']}"}
    assert client_of(app, None).get("/v1/jobs", headers=headers).status_code == 200


def test_a_path_that_is_not_there_tells_nobody_without_a_key(app: flask.Flask, keyring: dict[str, str]) -> None:
    problem_of(client_of(app, None).get("/v1/nothing"), 401)
    problem_of(client_of(app, None).patch("/v1/jobs"), 401)
    problem_of(client_of(app, keyring["reader"]).get("/v1/nothing"), 404)
    problem_of(client_of(app, None).get("/nothing"), 404)


def test_a_stranger_sees_and_changes_nothing_of_ours(
    populated_app: flask.Flask, populated: flask.testing.FlaskClient, keyring: dict[str, str]
) -> None:
    stranger = client_of(populated_app, keyring["stranger"])
    job = populated.get("/v1/jobs?limit=1").get_json()["jobs"][0]["id"]
    evaluation = populated.get("/v1/evaluations").get_json()["evaluations"][0]["id"]
    for path in (
        f"/v1/jobs/{job}",
        f"/v1/jobs/{job}/events",
        f"/v1/jobs/{job}/logs",
        f"/v1/evaluations/{evaluation}",
        "/v1/datasets/things",
        "/v1/datasets/things/versions/1",
        "/v1/datasets/things/versions/1/rows",
        "/v1/datasets/things/versions/1/content",
        "/v1/features/shape",
        "/v1/features/shape/versions/1",
        "/v1/models/greatness",
        "/v1/models/greatness/versions/1",
        "/v1/models/greatness/versions/1/export",
    ):
        problem_of(stranger.get(path), 404)
    problem_of(stranger.post(f"/v1/jobs/{job}/cancel"), 404)
    problem_of(stranger.post(f"/v1/jobs/{job}/retry"), 404)
    problem_of(stranger.delete("/v1/datasets/things/versions/1"), 404)
    problem_of(stranger.put("/v1/models/greatness/aliases/best", json={"version": 1}), 404)
    assert stranger.get("/v1/jobs").get_json()["jobs"] == []
    assert stranger.get("/v1/datasets").get_json()["items"] == []
    assert stranger.get("/v1/models").get_json()["items"] == []
    assert stranger.get("/v1/evaluations").get_json()["evaluations"] == []


def test_a_stranger_can_pin_nothing_of_ours(
    populated_app: flask.Flask, populated: flask.testing.FlaskClient, keyring: dict[str, str]
) -> None:
    stranger = client_of(populated_app, keyring["stranger"])
    for path, order in sample_data.ORDERS:
        problem_of(stranger.post(path, json=order), 422)
    [load] = populated.get("/v1/jobs?kind=ingestion.load&limit=1").get_json()["jobs"]
    params = load["params"]
    problem_of(stranger.post("/v1/jobs", json={"kind": "ingestion.load", "params": params}), 422)
    assert populated.post("/v1/jobs", json={"kind": "ingestion.load", "params": params}).status_code == 202
