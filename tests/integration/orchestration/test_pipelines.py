"""Pipelines: each change is a version, the same is none, and what is wrong is refused with its line."""

from typing import Any

import flask
import flask.testing
import pytest

from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
PATH = "/v1/pipelines/nightly"
PIPELINE: dict[str, Any] = {
    "params": {"folds": 5},
    "steps": [
        {"name": "first", "kind": "ingestion.ping"},
        {"name": "second", "kind": "training.ping", "needs": ["first"], "when": "first.attempt > 0"},
    ],
}
YAML = """\
params:
  folds: 5
steps:
  - {name: first, kind: ingestion.ping}
  - name: second
    kind: training.ping
    needs: [first]
    when: first.attempt > 0
"""


def put(client: Client, pipeline: dict[str, Any] = PIPELINE, *, status: int = 201, path: str = PATH) -> dict[str, Any]:
    response = client.put(path, json=pipeline)
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.get_json()
    return document


def test_each_change_is_a_version_and_the_same_is_none(client: Client) -> None:
    first = put(client)
    assert (first["name"], first["version"], first["pipeline"]) == ("nightly", 1, PIPELINE)
    assert put(client, status=200) == first
    yaml = client.put(PATH, data=YAML, headers={"Content-Type": "application/yaml; charset=utf-8"})
    assert (yaml.status_code, yaml.get_json()) == (200, first)
    changed = PIPELINE | {"params": {"folds": 3}}
    assert put(client, changed)["version"] == 2
    assert put(client)["version"] == 3
    shown = client.get(PATH)
    assert (shown.get_json()["version"], shown.headers["ETag"]) == (3, '"3"')
    assert client.get(f"{PATH}/versions/2").get_json()["pipeline"] == changed
    assert client.get(f"{PATH}/versions/1").get_json() == first
    assert client.get(f"{PATH}/versions/latest").get_json() == shown.get_json()
    page = client.get(f"{PATH}/versions?limit=2").get_json()
    rest = client.get(f"{PATH}/versions?limit=2&cursor={page['next_cursor']}").get_json()
    assert [each["version"] for each in (*page["versions"], *rest["versions"])] == [3, 2, 1]
    assert rest["next_cursor"] is None
    assert "last is 3" in problem_of(client.get(f"{PATH}/versions/4"), 404)["detail"]


def test_a_change_of_what_has_changed_meanwhile_is_refused(client: Client) -> None:
    put(client)
    changed = PIPELINE | {"params": {}}
    problem_of(client.put(PATH, json=changed, headers={"If-Match": '"2"'}), 412)
    assert client.put(PATH, json=changed, headers={"If-Match": '"1"'}).status_code == 201
    problem_of(client.put(PATH, json=PIPELINE, headers={"If-Match": '"1"'}), 412)


def test_a_retired_pipeline_is_gone_until_it_is_put_again(client: Client) -> None:
    put(client)
    put(client, path="/v1/pipelines/other")
    assert client.delete(PATH).status_code == 204
    assert "retired" in problem_of(client.get(PATH), 404)["detail"]
    problem_of(client.delete(PATH), 404)
    assert [each["name"] for each in client.get("/v1/pipelines").get_json()["pipelines"]] == ["other"]
    assert client.get(f"{PATH}/versions/1").get_json()["retired_at"] is not None
    assert put(client, status=200)["retired_at"] is None


def test_pipelines_are_listed_page_by_page(client: Client) -> None:
    for name in ("b", "c", "a"):
        put(client, path=f"/v1/pipelines/{name}")
    page = client.get("/v1/pipelines?limit=2").get_json()
    rest = client.get(f"/v1/pipelines?limit=2&cursor={page['next_cursor']}").get_json()
    shown = [(each["name"], each["version"], each["steps"]) for each in (*page["pipelines"], *rest["pipelines"])]
    assert shown == [("a", 1, 2), ("b", 1, 2), ("c", 1, 2)]


def test_what_is_wrong_is_refused_with_its_line_and_kept_nowhere(client: Client) -> None:
    wrong = YAML.replace("needs: [first]", "needs: [frist]")
    for method, path in (("PUT", PATH), ("POST", f"{PATH}/validate")):
        headers = {"Content-Type": "application/yaml"}
        problem = problem_of(client.open(path, method=method, data=wrong, headers=headers), 422)
        assert problem["errors"][0]["pointer"] == "#/steps/1/needs/0"
        assert problem["errors"][0]["detail"].startswith("line 7: ")
    problem_of(client.get(PATH), 404)


def test_checking_says_in_which_order_and_keeps_nothing(client: Client) -> None:
    answer = client.post(f"{PATH}/validate", json=PIPELINE)
    assert answer.get_json() == {
        "name": "nightly",
        "steps": ["first", "second"],
        "needs": {"first": [], "second": ["first"]},
    }
    problem_of(client.get(PATH), 404)


@pytest.mark.parametrize(
    ("body", "type_", "status"),
    [
        (b"", "application/json", 400),
        (b"null", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/yaml", 400),
        (b"steps: [*nothing]", "application/yaml", 400),
        (b"!!python/object/apply:os.system [id]", "application/yaml", 400),
        (b'{"steps": [{"name": "a\\u0000", "kind": "x"}]}', "application/json", 400),
        (b"{}", "text/csv", 415),
        (b"{}", "", 415),
        (b"x" * (2 * 1024 * 1024 + 1), "application/yaml", 413),
    ],
)
def test_what_is_no_pipeline_is_refused(client: Client, body: bytes, type_: str, status: int) -> None:
    for method, path in (("PUT", PATH), ("POST", f"{PATH}/validate")):
        problem_of(client.open(path, method=method, data=body, headers={"Content-Type": type_}), status)


def test_another_tenant_sees_and_changes_nothing(app: flask.Flask, client: Client, keyring: dict[str, str]) -> None:
    put(client)
    stranger = client_of(app, keyring["stranger"])
    for path in (PATH, f"{PATH}/versions", f"{PATH}/versions/1"):
        problem_of(stranger.get(path), 404)
    problem_of(stranger.delete(PATH), 404)
    assert stranger.get("/v1/pipelines").get_json()["pipelines"] == []
    assert put(stranger, PIPELINE | {"params": {}})["version"] == 1
    assert client.get(PATH).get_json()["pipeline"] == PIPELINE
