"""Schedules over REST: put, shown with what comes next, fired, and seen by nobody else."""

from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database, settings
from shared.orchestration.tables import schedules
from sweeper.fire_schedules import FireSchedules
from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
PIPELINE: dict[str, Any] = {
    "params": {"region": {"default": "eu"}},
    "steps": [{"name": "a", "kind": "ingestion.ping"}],
}
DAILY: dict[str, Any] = {"pipeline": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def client(client: Client) -> Client:
    """Return a client of a home with a pipeline."""
    assert client.put("/v1/pipelines/nightly", json=PIPELINE).status_code == 201
    return client


def put(client: Client, document: dict[str, Any] = DAILY, **options: Any) -> dict[str, Any]:
    response = client.put("/v1/schedules/s", json=document, **options)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.get_json()
    return shown


def test_a_schedule_is_shown_with_its_next_firings_and_listed(client: Client) -> None:
    shown = put(client)
    assert len(shown["next"]) == 5
    assert shown["next_at"] == shown["next"][0]
    assert {moment[11:16] for moment in shown["next"]} <= {"00:30", "01:30"}, "half past two in Berlin, in UTC"
    assert (shown["schedule"]["missed"], shown["schedule"]["overlap"]) == ("last", "skip")
    [listed] = client.get("/v1/schedules").get_json()["schedules"]
    assert {**listed, "next": shown["next"]} == shown == client.get("/v1/schedules/s").get_json()
    disabled = put(client, {**DAILY, "enabled": False})
    assert (disabled["next"], disabled["next_at"], disabled["revision"]) == ([], None, 2)


def test_a_schedule_that_has_changed_since_is_not_overwritten(client: Client) -> None:
    put(client)
    etag = client.get("/v1/schedules/s").headers["ETag"]
    put(client, headers={"If-Match": etag})
    problem_of(client.put("/v1/schedules/s", json=DAILY, headers={"If-Match": etag}), 412)


def test_a_firing_is_a_run_which_is_found_by_its_schedule(client: Client) -> None:
    put(client, {"pipeline": "nightly", "every_seconds": 60, "params": {"region": "us"}})
    engines = database.of_process()["orchestration"]
    with engines.transactions.begin() as connection:
        past = {name: schedules.c[name] - 60_000 for name in ("created_at", "decided_until", "next_at")}
        connection.execute(sa.update(schedules).values(past))
    FireSchedules(engines, config=settings.load()).do()
    [firing] = client.get("/v1/schedules/s/firings").get_json()["firings"]
    assert (firing["outcome"], firing["count"], firing["reason"]) == ("started", 1, None)
    [run] = client.get("/v1/pipelines/nightly/runs").get_json()["runs"]
    assert (run["id"], run["params"], run["tags"]) == (firing["run"], {"region": "us"}, ["schedule:s"])
    assert client.get("/v1/schedules/s").get_json()["last_run"] == run["id"]
    assert client.delete("/v1/schedules/s").status_code == 204
    problem_of(client.get("/v1/schedules/s/firings"), 404)
    assert client.get(f"/v1/jobs/{run['id']}").get_json()["state"] == "queued", "what was started goes on"


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"pipeline": "nothing"}, 404, "no pipeline 'nothing'"),
        ({"version": 7}, 404, "no version 7"),
        ({"params": {"reigon": "us"}}, 422, "reigon"),
        ({"cron": "30 2 * *"}, 422, "five are needed"),
        ({"timezone": "Mars"}, 422, "no time zone"),
        ({"every_seconds": 60}, 422, "not both"),
        ({"missed": "some"}, 422, "'all', 'last' or 'none'"),
        ({"interval": 5}, 422, "interval"),
        ({"version": 3_000_000_000}, 422, "less than or equal"),
        ({"params": {f"p{number}": 1 for number in range(201)}}, 422, "at most 200"),
        ({"starts_at": "9999-12-31T23:59:59-05:00"}, 422, "1971 to 9000"),
    ],
)
def test_what_can_never_fire_is_refused_with_the_reason(
    client: Client, changes: dict[str, Any], status: int, said: str
) -> None:
    problem = problem_of(client.put("/v1/schedules/s", json={**DAILY, **changes}), status)
    assert said in f"{problem['detail']} {problem.get('errors')}"
    problem_of(client.get("/v1/schedules/s"), 404)


def test_nobody_sees_or_changes_the_schedules_of_another_tenant(
    app: flask.Flask, client: Client, keyring: dict[str, str]
) -> None:
    put(client)
    stranger = client_of(app, keyring["stranger"])
    assert stranger.get("/v1/schedules").get_json()["schedules"] == []
    for answer in (
        stranger.get("/v1/schedules/s"),
        stranger.get("/v1/schedules/s/firings"),
        stranger.delete("/v1/schedules/s"),
        stranger.put("/v1/schedules/s", json=DAILY),
    ):
        problem_of(answer, 404)
    assert client.get("/v1/schedules/s").get_json()["revision"] == 1
