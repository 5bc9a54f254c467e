"""Deployments: what they are is what their latest change made of them, and no change is ever lost or altered."""

import time
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from shared import database
from tests.integration import sample_data
from tests.integration.steps import client_of, down, problem_of

Client = flask.testing.FlaskClient
MODEL = "/v1/models/greatness"
PATH = "/v1/deployments/great"


def train(client: Client) -> None:
    sample_data.done(client, client.post(MODEL, json=sample_data.TRAINING))


def put(client: Client, *routes: Any, query: str = "", **changes: Any) -> dict[str, Any]:
    response = client.put(f"{PATH}{query}", json={"routes": list(routes), **changes})
    assert response.status_code == 200, response.get_data(as_text=True)
    document: dict[str, Any] = response.get_json()
    return document


def route(version: str, weight: float = 100) -> dict[str, Any]:
    return {"model": f"greatness@{version}", "weight": weight}


def history(client: Client, query: str = "") -> dict[str, Any]:
    response = client.get(f"{PATH}/history{query}")
    assert response.status_code == 200, response.get_data(as_text=True)
    document: dict[str, Any] = response.get_json()
    return document


def execute(statement: str) -> None:
    with database.of_process()["prediction"].transactions.begin() as connection:
        connection.execute(sa.text(statement))


def test_a_deployment_shows_its_routes_and_their_shares(populated: Client) -> None:
    train(populated)
    deployed = put(populated, route("1", 30), route("2", 10), sticky_key="customer")
    assert [(each["model"], each["version"], each["share"]) for each in deployed["routes"]] == [
        ("greatness@1", 1, 0.75),
        ("greatness@2", 2, 0.25),
    ]
    assert (deployed["revision"], deployed["sticky_key"]) == (1, "customer")
    shown = populated.get(PATH)
    assert shown.get_json() == deployed
    assert shown.headers["ETag"] == '"1"'
    assert [each["name"] for each in populated.get("/v1/deployments").get_json()["deployments"]] == ["great"]


def test_latest_is_a_number_and_an_alias_is_followed(populated: Client) -> None:
    populated.put(f"{MODEL}/aliases/champion", json={"version": 1})
    deployed = put(populated, route("latest"), fallback="greatness@champion")
    assert deployed["routes"][0]["model"] == "greatness@1"
    assert deployed["fallback"]["model"] == "greatness@champion"


def test_the_same_again_is_no_change(populated: Client) -> None:
    assert put(populated, route("1"))["revision"] == put(populated, route("1"))["revision"] == 1


def test_only_who_has_read_the_latest_revision_may_change_it_by_if_match(populated: Client) -> None:
    put(populated, route("1"))
    stale = populated.put(PATH, json={"routes": [route("1")], "max_waiting": 1}, headers={"If-Match": '"9"'})
    assert "at the revision 1, not 9" in problem_of(stale, 412)["detail"]
    fresh = populated.put(PATH, json={"routes": [route("1")], "max_waiting": 1}, headers={"If-Match": '"1"'})
    assert fresh.get_json()["revision"] == 2
    problem_of(populated.put(PATH, json={"routes": [route("1")]}, headers={"If-Match": "soon"}), 400)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"routes": []}, "at least 1 item"),
        ({"routes": [route("1", 0)]}, "weight 0"),
        ({"routes": [route("1"), route("1")]}, "two routes"),
        ({"routes": [route("1", -1)]}, "greater than or equal to 0"),
        ({"routes": [route("9")]}, "'greatness@9' doesn't exist"),
        ({"routes": [{"model": "greatness"}]}, "pattern"),
        ({"routes": [route("1")], "fallback": "nothing@1"}, "'nothing@1' doesn't exist"),
        ({"routes": [route("1")], "timeout": 3}, "not permitted"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(populated: Client, document: dict[str, Any], words: str) -> None:
    problem = problem_of(populated.put(PATH, json=document), 422)
    assert words in str(problem)
    assert problem["errors"][0]["pointer"].startswith("#")
    problem_of(populated.get(PATH), 404)


def test_the_same_version_by_number_and_as_latest_is_one_route_twice(populated: Client) -> None:
    assert (
        "same version" in problem_of(populated.put(PATH, json={"routes": [route("1"), route("latest")]}), 422)["detail"]
    )


def test_versions_that_answer_differently_are_not_deployed_together(populated: Client) -> None:
    order = {**sample_data.TRAINING, "target": "a", "problem": "regression", "estimator": {"name": "Ridge"}}
    sample_data.done(populated, populated.post("/v1/models/amount", json=order))
    problem = problem_of(populated.put(PATH, json={"routes": [route("1"), {"model": "amount@1"}]}), 422)
    assert "amount@1 regression, greatness@1 classification of str labels" in problem["detail"]
    problem_of(populated.put(PATH, json={"routes": [route("1")], "fallback": "amount@1"}), 422)


def test_a_weight_of_minus_zero_is_zero(populated: Client) -> None:
    train(populated)
    put(populated, route("1"), route("2", -0.0))
    [state] = [change["state"] for change in history(populated)["changes"]]
    assert str(state["routes"][1]["weight"]) == "0.0"


def test_only_who_has_read_the_latest_revision_may_delete_by_if_match(populated: Client) -> None:
    put(populated, route("1"))
    problem_of(populated.delete(PATH, headers={"If-Match": '"9"'}), 412)
    assert populated.delete(PATH, headers={"If-Match": '"1"'}).status_code == 204


def test_a_rollback_returns_to_the_revision_before_or_to_a_named_one(populated: Client) -> None:
    train(populated)
    put(populated, route("1"))
    put(populated, route("1", 90), route("2", 10))
    put(populated, route("2"))
    back = populated.post(f"{PATH}/rollback", json={"reason": "errors"}).get_json()
    assert [(each["version"], each["share"]) for each in back["routes"]] == [(1, 0.9), (2, 0.1)]
    assert back["revision"] == 4
    first = populated.post(f"{PATH}/rollback", json={"revision": 1}).get_json()
    assert [each["version"] for each in first["routes"]] == [1]
    changes = history(populated)["changes"]
    assert [change["action"] for change in changes] == ["rollback", "rollback", "put", "put", "put"]
    assert changes[1]["reason"] == "errors"
    problem_of(populated.post(f"{PATH}/rollback", json={"revision": 99}), 409)


def test_a_rollback_leaves_an_alias_that_has_moved(populated: Client) -> None:
    train(populated)
    populated.put(f"{MODEL}/aliases/champion", json={"version": 1})
    put(populated, route("champion"))
    populated.put(f"{MODEL}/aliases/champion", json={"version": 2})
    put(populated, route("champion"), max_waiting=5)
    back = populated.post(f"{PATH}/rollback", json={}).get_json()
    assert [(each["model"], each["version"]) for each in back["routes"]] == [("greatness@1", 1)]


def test_there_is_nothing_to_return_to_from_the_first_revision(populated: Client) -> None:
    put(populated, route("1"))
    assert "no earlier one" in problem_of(populated.post(f"{PATH}/rollback", json={}), 409)["detail"]
    problem_of(populated.post("/v1/deployments/none/rollback", json={}), 404)


def test_a_deleted_deployment_keeps_its_history_and_a_new_one_goes_on_from_it(populated: Client) -> None:
    put(populated, route("1"))
    assert populated.delete(f"{PATH}?reason=unused").status_code == 204
    problem_of(populated.get(PATH), 404)
    problem_of(populated.delete(PATH), 404)
    assert [change["state"] is None for change in history(populated)["changes"]] == [True, False]
    assert put(populated, route("1"))["revision"] == 3
    assert history(populated, "?verify=true")["verified"]["whole"]


def test_history_is_listed_in_pages(populated: Client) -> None:
    for waiting in range(5):
        put(populated, route("1"), max_waiting=waiting, query="?reason=tuning")
    first = history(populated, "?limit=3")
    rest = history(populated, f"?limit=3&cursor={first['next_cursor']}")
    assert [change["revision"] for change in first["changes"] + rest["changes"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None
    assert {change["reason"] for change in first["changes"]} == {"tuning"}
    problem_of(populated.get("/v1/deployments/none/history"), 404)


@pytest.mark.parametrize(
    ("change", "revision", "words"),
    [
        ("UPDATE deployment_changes SET changed_by = 'somebody' WHERE revision = 2", 2, "not what it was"),
        ("DELETE FROM deployment_changes WHERE revision = 2", 2, "missing"),
        ("DELETE FROM deployment_changes WHERE revision = 3", 3, "missing"),
        ("UPDATE deployments SET state = json_set(state, '$.max_waiting', 9)", 3, "not what this change"),
    ],
)
def test_the_chain_says_where_it_breaks(populated: Client, change: str, revision: int, words: str) -> None:
    for waiting in (1, 2, 3):
        put(populated, route("1"), max_waiting=waiting)
    assert history(populated, "?verify=true")["verified"] == {"whole": True, "broken_at": None, "problem": None}
    # Nobody but the owner of the table can do this.
    for trigger in ("refuse_update", "refuse_delete"):
        execute(f"DROP TRIGGER {trigger}")
    execute(change)
    verified = history(populated, "?verify=true")["verified"]
    assert (verified["whole"], verified["broken_at"]) == (False, revision)
    assert words in verified["problem"]


@pytest.mark.parametrize("change", ["UPDATE deployment_changes SET reason = 'x'", "DELETE FROM deployment_changes"])
def test_the_database_refuses_changes_of_the_ledger(populated: Client, change: str) -> None:
    put(populated, route("1"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        execute(change)
    assert history(populated, "?verify=true")["verified"]["whole"]


def test_a_deployed_version_is_neither_deleted_nor_retired(populated: Client) -> None:
    train(populated)
    train(populated)
    put(populated, route("1"))
    problem = problem_of(populated.delete(f"{MODEL}/versions/1"), 409)
    assert "'great'" in problem["detail"]
    pruned = sample_data.done(
        populated, populated.post("/v1/storage/prune", json={"keep_last": 1, "types": ["model"], "dry_run": True})
    )
    assert [(each["name"], each["version"]) for each in pruned["result"]["retired"]] == [("greatness", 2)]
    put(populated, route("3"))
    assert populated.delete(f"{MODEL}/versions/1").status_code == 204


def test_a_deployment_of_another_tenant_is_not_there(populated_app: flask.Flask, keyring: dict[str, str]) -> None:
    owner, stranger = (client_of(populated_app, keyring[name]) for name in ("admin", "stranger"))
    put(owner, route("1"))
    for path in (PATH, f"{PATH}/history"):
        problem_of(stranger.get(path), 404)
    problem_of(stranger.delete(PATH), 404)
    problem_of(stranger.post(f"{PATH}/rollback", json={}), 404)
    problem_of(stranger.put(PATH, json={"routes": [route("1")]}), 422)
    assert stranger.get("/v1/deployments").get_json()["deployments"] == []


def test_a_reader_may_look_and_not_change(populated_app: flask.Flask, keyring: dict[str, str]) -> None:
    put(client_of(populated_app, keyring["admin"]), route("1"))
    reader = client_of(populated_app, keyring["reader"])
    assert reader.get(PATH).status_code == 200
    problem_of(reader.put(PATH, json={"routes": [route("1")]}), 403)
    problem_of(reader.delete(PATH), 403)


def test_while_the_models_database_is_down_a_change_is_refused_for_now(
    populated_app: flask.Flask, keyring: dict[str, str]
) -> None:
    populated = client_of(populated_app, keyring["admin"])
    put(populated, route("1"), max_waiting=1)
    put(populated, route("1"), max_waiting=2)
    with down(populated_app, "training"):
        # The mirror of names knows the version only once its event was relayed, which no sweeper does here.
        problem_of(populated.post(f"{PATH}/rollback", json={}), 503)
    assert populated.get(PATH).get_json()["revision"] == 2
    assert populated.post(f"{PATH}/rollback", json={}).status_code == 200


def test_an_inference_server_is_missed_once_something_is_deployed(populated: Client) -> None:
    assert "inference" not in populated.get("/readyz").get_json()["not_ready"]
    populated.put("/v1/deployments/great", json={"routes": [{"model": "greatness@1"}]})
    # The probes' answer is kept for a moment.
    until = time.monotonic() + 20
    while "inference" not in (document := populated.get("/readyz").get_json())["not_ready"]:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert document["reasons"]["inference"] == "not heard of"
    assert populated.get("/v1/services").get_json()["inference_servers"] == []
