"""One role's database is down: its jobs are refused and never lost, everybody else's go on."""

import time
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database, roles
from shared.jobs import tables
from sweeper.relay import Relay
from tests.integration import sample_data
from tests.integration.steps import client_of, down, parts_of, problem_of

Client = flask.testing.FlaskClient
OTHERS = [role for role in roles.ROLES if role != "training"]


def ping(role: str) -> dict[str, Any]:
    return {"kind": f"{role}.ping", "params": {}}


def relay() -> None:
    """Relay what the roles' outboxes hold, as the sweeper does."""
    for role in roles.ROLES:
        Relay(role, database.of_process()).do()


def test_submitting_to_a_role_that_is_down_is_503_and_to_others_is_not(app: flask.Flask, client: Client) -> None:
    with down(app, "training"):
        response = client.post("/v1/jobs", json=ping("training"))
        assert "training" in problem_of(response, 503)["detail"]
        assert int(response.headers["Retry-After"]) >= 1
        assert [client.post("/v1/jobs", json=ping(role)).status_code for role in OTHERS] == [202] * len(OTHERS)
    assert client.get("/v1/jobs?role=training").get_json()["jobs"] == []
    assert client.post("/v1/jobs", json=ping("training")).status_code == 202


def test_everything_that_asks_a_role_that_is_down_is_503(populated_app: flask.Flask, populated: Client) -> None:
    [job] = populated.get("/v1/jobs?role=training").get_json()["jobs"]
    with down(populated_app, "training"):
        asked = [
            populated.get(job["links"]["self"]),
            populated.get(job["links"]["events"]),
            populated.post(f"{job['links']['self']}/cancel"),
            populated.post(f"{job['links']['self']}/retry"),
            populated.get("/v1/jobs?role=training"),
            populated.get("/v1/models"),
            populated.get("/v1/models/greatness"),
            populated.get("/v1/models/greatness/versions/1"),
            populated.get("/v1/models/greatness/versions/1/export"),
            populated.put("/v1/models/greatness/aliases/best", json={"version": 1}),
            populated.post("/v1/models/greatness", json=sample_data.TRAINING),
        ]
        for response in asked:
            problem_of(response, 503)
            assert response.headers["Retry-After"]


def test_readyz_and_services_name_what_is_down_and_the_api_stays_open(app: flask.Flask, client: Client) -> None:
    with down(app, "training", "evaluation"):
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
        assert ready.get_json()["not_ready"] == ["database.evaluation", "database.training"]
        status = {one["role"]: one["status"] for one in client.get("/v1/services").get_json()["services"]}
        assert (status["training"], status["ingestion"]) == ("down", "no_workers")
        assert client.get("/healthz").status_code == 200


def test_the_api_is_not_ready_when_it_can_accept_nothing(app: flask.Flask, client: Client) -> None:
    parts_of(app).probes.fresh_seconds = 0
    with down(app, *roles.ROLES):
        assert client.get("/readyz").status_code == 503
        problem_of(client.get("/v1/jobs"), 503)
    with down(app, roles.API):
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["not_ready"]) == (503, ["database.api"])


def test_nobody_comes_in_while_the_keys_cannot_be_read(app: flask.Flask, client: Client) -> None:
    with down(app, roles.API):
        for _ in range(2):
            problem_of(client.get("/v1/jobs"), 503)


def test_a_listing_shows_the_others_and_names_who_is_left_out(app: flask.Flask, client: Client) -> None:
    for role in roles.ROLES:
        client.post("/v1/jobs", json=ping(role))
    with down(app, "training"):
        page = client.get("/v1/jobs").get_json()
        assert (page["unavailable"], len(page["jobs"])) == (["training"], len(OTHERS))
        assert client.get("/v1/datasets").get_json()["unavailable"] == []


def test_datasets_of_the_other_roles_are_listed_and_found(populated_app: flask.Flask, populated: Client) -> None:
    with down(populated_app, "processing"):
        page = populated.get("/v1/datasets").get_json()
        assert ([item["name"] for item in page["items"]], page["unavailable"]) == (
            ["guesses", "things"],
            ["processing"],
        )
        assert populated.get("/v1/datasets/things").status_code == 200
        assert populated.get("/v1/datasets/guesses").status_code == 200
        problem_of(populated.get("/v1/datasets/shaped"), 503)
        problem_of(populated.get("/v1/datasets/nothing"), 503)


def test_predictions_go_on_with_the_catalogues_pins_while_training_is_down(
    populated_app: flask.Flask, populated: Client
) -> None:
    populated.put("/v1/models/greatness/aliases/champion", json={"version": 1})
    relay()
    with down(populated_app, "training"):
        for label in ("1", "latest", "champion"):
            order = {"model": f"greatness@{label}", "dataset": "things@latest", "name": f"by-{label}"}
            sample_data.done(populated, populated.post("/v1/predictions", json=order))
        problem_of(populated.post("/v1/predictions", json={"model": "greatness@9", "dataset": "things@1"}), 503)
    with down(populated_app, "training", "ingestion"):
        order = {"model": "greatness@1", "dataset": "things@2", "name": "by-catalogue"}
        sample_data.done(populated, populated.post("/v1/predictions", json=order))


def test_without_a_note_in_the_catalogue_nothing_is_pinned(populated_app: flask.Flask, populated: Client) -> None:
    with down(populated_app, "training"):
        problem_of(populated.post("/v1/predictions", json={"model": "greatness@1", "dataset": "things@1"}), 503)


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("dead", ["evaluation", "training"])
def test_a_batch_over_roles_with_one_down_leaves_nothing(
    app: flask.Flask, client: Client, dead: str, key: str | None
) -> None:
    jobs = {"jobs": [ping(role) for role in roles.ROLES]}
    headers = {"Idempotency-Key": key} if key else {}
    with down(app, dead):
        problem_of(client.post("/v1/jobs/batch", json=jobs, headers=headers), 503)
    assert client.get("/v1/jobs").get_json()["jobs"] == []
    accepted = client.post("/v1/jobs/batch", json=jobs, headers=headers).get_json()["jobs"]
    assert [job["state"] for job in accepted] == ["queued"] * len(roles.ROLES)


def test_a_batch_whose_last_commit_fails_is_taken_back_with_its_keys(app: flask.Flask, client: Client) -> None:
    jobs = {"jobs": [{**ping(role), "tags": ["t"]} for role in ("ingestion", "training")]}
    engine = parts_of(app).databases["training"].transactions

    @sa.event.listens_for(engine, "commit")
    def fail(_connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, OSError("the disk is full"))

    problem_of(client.post("/v1/jobs/batch", json=jobs, headers={"Idempotency-Key": "k"}), 503)
    sa.event.remove(engine, "commit", fail)
    assert client.get("/v1/jobs").get_json()["jobs"] == []
    with database.of_process()["ingestion"].statements.connect() as connection:
        assert connection.execute(sa.select(tables.job_tags)).all() == []
    accepted = client.post("/v1/jobs/batch", json=jobs, headers={"Idempotency-Key": "k"}).get_json()["jobs"]
    assert [job["state"] for job in accepted] == ["queued", "queued"]


def test_an_upload_whose_role_is_down_is_503_and_again_is_taken(app: flask.Flask, client: Client) -> None:
    upload = {"data": b"a\n1\n", "content_type": "text/csv", "headers": {"Idempotency-Key": "k"}}
    with down(app, "ingestion"):
        problem_of(client.post("/v1/datasets/d", **upload), 503)
    sample_data.done(client, client.post("/v1/datasets/d", **upload))


def test_a_job_whose_database_goes_while_its_client_waits_is_answered_as_accepted(
    app: flask.Flask, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    engine = parts_of(app).databases["ingestion"].statements

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        looks.append(statement)
        raise sa.exc.OperationalError(statement, {}, OSError("gone"))

    def lose(_bells: object) -> None:
        sa.event.listen(engine, "before_cursor_execute", fail)

    # The doorbell is rung once the job is committed, and so marks the moment.
    monkeypatch.setattr(parts_of(app).ringer, "ring", lose)
    upload = {"data": b"a\n1\n", "content_type": "text/csv"}
    response = client.post("/v1/datasets/d", **upload, headers={"Prefer": "wait=1"})
    sa.event.remove(engine, "before_cursor_execute", fail)
    assert looks
    assert response.status_code == 202
    sample_data.done(client, response)


def test_a_tenant_with_a_full_queue_is_429_and_others_are_not(
    app: flask.Flask, client: Client, keyring: dict[str, str]
) -> None:
    parts_of(app).submitter._backlog._max_queued_per_tenant = 2
    job = client.post("/v1/jobs", json=ping("training"))
    assert client.post(f"{job.headers['Location']}/cancel").status_code == 202
    assert client.post("/v1/jobs", json=ping("training")).status_code == 202
    time.sleep(0.2)
    assert client.post("/v1/jobs", json=ping("training")).status_code == 202
    time.sleep(0.2)
    response = client.post("/v1/jobs", json=ping("training"))
    assert "2 jobs of training are queued of this tenant" in problem_of(response, 429)["detail"]
    problem_of(client.post("/v1/jobs/batch", json={"jobs": [ping("ingestion"), ping("training")]}), 429)
    retried = client.post(f"{job.headers['Location']}/retry")
    assert int(retried.headers["Retry-After"]) > 1
    problem_of(retried, 429)
    assert client.post("/v1/jobs", json=ping("ingestion")).status_code == 202
    assert client_of(app, keyring["stranger"]).post("/v1/jobs", json=ping("training")).status_code == 202


def test_a_full_queue_is_429_until_there_is_room(app: flask.Flask, client: Client) -> None:
    parts_of(app).submitter._backlog._max_queued = 3
    jobs = [client.post("/v1/jobs", json=ping("training")) for _ in range(3)]
    assert [response.status_code for response in jobs] == [202] * 3
    response = client.post("/v1/jobs", json=ping("training"))
    assert "3 jobs of training" in problem_of(response, 429)["detail"]
    assert int(response.headers["Retry-After"]) > 1
    problem_of(client.post("/v1/jobs/batch", json={"jobs": [ping("ingestion"), ping("training")]}), 429)
    assert client.get("/v1/jobs?role=ingestion").get_json()["jobs"] == []
    assert client.post("/v1/jobs", json=ping("ingestion")).status_code == 202
    client.post(f"{jobs[0].headers['Location']}/cancel")
    time.sleep(1.1)
    assert client.post("/v1/jobs", json=ping("training")).status_code == 202
