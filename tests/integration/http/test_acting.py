"""A service acts on behalf of the owner of a key, with that key's rights as they are now, and never in its own name."""

import pathlib
from typing import Any

import flask
import flask.testing
import pytest

from api import cli
from api.intake import keys
from shared.jobs import views
from tests.integration.http.test_scopes import paths_of
from tests.integration.steps import at_home, client_of, opened, parts_of, problem_of
from tests.integration.test_jobs import submit

Client = flask.testing.FlaskClient
PING = {"kind": "training.ping", "params": {}}


@pytest.fixture
def service(app: flask.Flask) -> Client:
    """Return a client with a service's key, from another host."""
    client = client_of(app, held(app).create("orchestration", scopes=["service"]))
    client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    return client


def held(app: flask.Flask) -> keys.Keys:
    return parts_of(app).keys


def owner_of(app: flask.Flask, secret: str) -> keys.Key:
    return next(key for key in held(app).list_all() if key.prefix == secret.split("_")[1])


def on_behalf_of(key: keys.Key, **changes: str) -> dict[str, str]:
    return {"Millrace-Tenant": key.tenant_id, "Millrace-On-Behalf-Of": key.id} | changes


def test_a_service_may_nothing_in_its_own_name_whatever_the_route(app: flask.Flask, service: Client) -> None:
    asked = paths_of(app)
    assert len(asked) > 60
    for method, path in asked:
        assert service.open(path, method=method).status_code == 403, (method, path)
    assert "no rights of its own" in problem_of(service.get("/v1/jobs"), 403)["detail"]
    for public in ("/healthz", "/openapi.json"):
        assert service.get(public).status_code == 200


@pytest.mark.parametrize("holder", ["admin", "writer", "reader", "scopeless", "stranger"])
@pytest.mark.parametrize("name", ["Millrace-Tenant", "Millrace-On-Behalf-Of"])
def test_no_other_key_may_say_for_whom_it_acts(
    app: flask.Flask, keyring: dict[str, str], holder: str, name: str
) -> None:
    own = owner_of(app, keyring[holder])
    client = client_of(app, keyring[holder])
    client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    for value in (on_behalf_of(own)[name], "", "0"):
        for method, path in paths_of(app):
            assert client.open(path, method=method, headers={name: value}).status_code == 403, (method, path, value)


def test_not_even_a_plain_poll_says_for_whom(app: flask.Flask, client: Client, keyring: dict[str, str]) -> None:
    path = submit(client)["links"]["self"]
    assert client.get(path).status_code == 200
    for name in ("Millrace-Tenant", "Millrace-On-Behalf-Of"):
        for value in ("default", "", "0"):
            problem_of(client.get(path, headers={name: value}), 403)


def test_a_service_does_what_the_owner_may_and_the_job_is_the_owners(
    app: flask.Flask, service: Client, keyring: dict[str, str]
) -> None:
    stranger = owner_of(app, keyring["stranger"])
    accepted = service.post("/v1/jobs", json=PING, headers=on_behalf_of(stranger))
    assert accepted.status_code == 202
    job = accepted.get_json()
    with parts_of(app).databases["training"].statements.connect() as connection:
        row = views.read_all_columns(connection, job["id"], tenant_id=stranger.tenant_id)
    assert row is not None
    assert row.submitted_by == stranger.id
    path = job["links"]["self"]
    assert service.get(path, headers=on_behalf_of(stranger)).get_json()["id"] == job["id"]
    assert client_of(app, keyring["stranger"]).get(path).status_code == 200
    problem_of(service.get(path, headers=on_behalf_of(owner_of(app, keyring["admin"]))), 404)


def test_a_service_may_no_more_than_the_owner(app: flask.Flask, service: Client, keyring: dict[str, str]) -> None:
    reader = on_behalf_of(owner_of(app, keyring["reader"]))
    assert service.get("/v1/jobs", headers=reader).status_code == 200
    assert "'write'" in problem_of(service.post("/v1/jobs", json=PING, headers=reader), 403)["detail"]
    modest = held(app).create("modest", scopes=["write"], max_priority=2)
    headers = on_behalf_of(owner_of(app, modest))
    assert service.post("/v1/jobs", json=PING | {"priority": 2}, headers=headers).status_code == 202
    problem_of(service.post("/v1/jobs", json=PING | {"priority": 3}, headers=headers), 422)


def test_an_owner_whose_key_has_ended_is_told_why(app: flask.Flask, service: Client, keyring: dict[str, str]) -> None:
    for holder, reason in {"revoked": "was revoked at 2", "expired": "expired at 2"}.items():
        headers = on_behalf_of(owner_of(app, keyring[holder]))
        for method, path in paths_of(app):
            assert service.open(path, method=method, headers=headers).status_code == 403, (method, path)
        assert reason in problem_of(service.get("/v1/jobs", headers=headers), 403)["detail"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Millrace-Tenant": "another"}, "has no key"),
        ({"Millrace-On-Behalf-Of": "key_00000000000000000000000000"}, "has no key"),
        ({"Millrace-On-Behalf-Of": "' OR 1=1 --"}, "has no key"),
        ({"Millrace-On-Behalf-Of": "x" * 5000}, "has no key"),
    ],
)
def test_an_owner_who_is_not_there_is_refused(
    app: flask.Flask, service: Client, keyring: dict[str, str], changes: dict[str, str], said: str
) -> None:
    headers = on_behalf_of(owner_of(app, keyring["admin"]), **changes)
    assert said in problem_of(service.get("/v1/jobs", headers=headers), 403)["detail"]


def test_what_says_half_or_twice_for_whom_is_refused(
    app: flask.Flask, service: Client, keyring: dict[str, str]
) -> None:
    whole = list(on_behalf_of(owner_of(app, keyring["admin"])).items())
    for headers in ([whole[0]], [whole[1]], [*whole, whole[0]], [*whole, whole[1]]):
        problem_of(service.get("/v1/jobs", headers=headers), 403)
    assert service.get("/v1/jobs", headers=whole).status_code == 200


def test_nobody_acts_on_behalf_of_a_service(app: flask.Flask, service: Client) -> None:
    other = held(app).create("other", scopes=["service", "admin"])
    problem_of(service.get("/v1/jobs", headers=on_behalf_of(owner_of(app, other))), 403)
    problem_of(client_of(app, other).get("/v1/jobs"), 403)


def test_a_services_key_is_made_once_into_a_file_of_its_owner(
    home: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "identity" / "key"
    order = ["keys", "create", "--name", "orchestration", "--scope", "service", "--file", str(path)]
    with at_home(home), opened() as app:
        assert cli.main(order) == 0
        first = path.read_text().strip()
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert cli.main(order) == 0
        assert path.read_text().strip() == first
        held(app).revoke(first.split("_")[1])
        assert cli.main(order) == 0
        second = path.read_text().strip()
        assert held(app).check(second).scopes == ["service"]
    assert second != first
    shown: Any = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
