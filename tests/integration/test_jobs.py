"""HTTP jobs: accepted with 202, polled cheaply, listed over all roles, cancelled, retried, and accepted in batches."""

import datetime
import re
import time
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api import answers
from shared import database, ids
from shared.jobs import ledger, tables
from shared.jobs.states import State
from shared.queues import ringer
from tests.integration import sample_data, worker
from tests.integration.steps import parts_of, problem_of

Client = flask.testing.FlaskClient
ROLES = ("ingestion", "processing", "training", "evaluation", "prediction")


def submit(client: Client, *, role: str = "training", **more: Any) -> dict[str, Any]:
    """Submit a job that does nothing."""
    response = client.post("/v1/jobs", json={"kind": f"{role}.ping", "params": {}, **more})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.get_json()
    return job


def start(job: dict[str, Any]) -> None:
    """Let a job be running, as if a worker had it."""
    with database.of_process()[job["role"]].relaxed.connect() as connection:
        assert ledger.claim(connection, job["id"], owner="w", lease_seconds=60, max_run_seconds=60)


def test_an_accepted_job_says_where_it_is_and_when_to_ask(client: Client) -> None:
    response = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}})
    job = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert response.headers["Retry-After"] == "1"
    assert (job["state"], job["role"], job["kind"], job["attempt"]) == ("queued", "training", "training.ping", 0)
    assert client.get(response.headers["Location"]).get_json() == job


def test_what_was_asked_for_is_kept(client: Client) -> None:
    job = submit(client, priority=9, deadline_seconds=60, tags=["b", "a", "ü"])
    shown = client.get(job["links"]["self"]).get_json()
    assert shown == job
    assert (shown["priority"], shown["tags"]) == (9, ["b", "a", "ü"])
    moments = [datetime.datetime.fromisoformat(shown[name]) for name in ("created_at", "deadline_at")]
    assert (moments[1] - moments[0]).total_seconds() == 60
    assert shown["created_at"].endswith("Z")


def test_an_accepted_job_is_rung_for_after_its_commit(app: flask.Flask, client: Client) -> None:
    committed: list[str | None] = []
    bell: ringer.Ringer = parts_of(app).ringer

    def ring(bells: list[ledger.Doorbell]) -> None:
        with database.of_process()["training"].statements.connect() as connection:
            committed.extend(
                connection.execute(sa.select(tables.jobs.c.id).where(tables.jobs.c.id == one.job_id)).scalar()
                for one in bells
            )

    bell.ring = ring  # type: ignore[method-assign, assignment]
    assert [submit(client)["id"]] == committed


def test_a_job_done_shows_its_result_and_its_times(client: Client) -> None:
    job = submit(client)
    assert worker.perform(job) is None
    done = client.get(job["links"]["self"]).get_json()
    assert (done["state"], done["result"], done["attempt"], done["error"]) == ("succeeded", {"attempt": 1}, 1, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


def test_a_job_that_failed_says_why(client: Client) -> None:
    job = submit(client)
    assert worker.perform(job, body=worker.fail) == "ValueError"
    failed = client.get(job["links"]["self"]).get_json()
    assert failed["state"] == "failed"
    assert failed["error"] == {"type": "ValueError", "message": "the data is bad"}
    assert failed["result"] is None


def test_a_poll_that_knows_the_version_is_304_until_the_job_moves(client: Client) -> None:
    job = submit(client)
    path = job["links"]["self"]
    tag = client.get(path).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', f'{tag}, "x"', "*"):
        response = client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag), known
        assert response.headers["Retry-After"] == "1"
    for other in ('"999"', tag.strip('"') + "9", "", "nonsense"):
        assert client.get(path, headers={"If-None-Match": other}).status_code == 200, other
    start(job)
    moved = client.get(path, headers={"If-None-Match": tag})
    assert (moved.status_code, moved.get_json()["state"]) == (200, "running")
    assert moved.headers["ETag"] != tag


def test_retry_after_grows_with_the_job_and_ends_with_it(client: Client) -> None:
    job = submit(client)
    seen = []
    for age_seconds in (0, 15, 45, 99, 1000):
        with database.of_process()["training"].transactions.begin() as connection:
            created_at = int((time.time() - age_seconds) * 1000)
            connection.execute(sa.update(tables.jobs).values(created_at=created_at))
        seen.append(client.get(job["links"]["self"]).headers["Retry-After"])
    assert seen == ["1", "1", "4", "9", "10"]
    worker.perform(job)
    assert "Retry-After" not in client.get(job["links"]["self"]).headers
    assert [answers.retry_after_seconds(age) for age in (-5, 0, 1e9)] == [1, 1, 10]


@pytest.mark.parametrize(
    "job_id",
    [
        "x",
        "training_",
        "api_01JD0000000000000000000000",
        "nothing_01JD0000000000000000000000",
        "training_01JD0000000000000000000000",
        "training_01JD000000000000000000000I",
        "training_01JD0000000000000000000000%0A",
        "evaluation_01JD0000000000000000000000",
        "x" * 64,
    ],
)
def test_no_such_job_is_404_for_everything_that_can_be_done_with_one(client: Client, job_id: str) -> None:
    for method, action in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
        problem_of(client.open(f"/v1/jobs/{job_id}{action}", method=method), 404)


def test_a_listing_shows_all_roles_newest_first_and_pages_without_gaps(client: Client) -> None:
    made = [submit(client, role=ROLES[number % 5])["id"] for number in range(12)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/v1/jobs?limit=5{cursor}").get_json()
        assert page["unavailable"] == []
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    assert client.get("/v1/jobs?limit=12").get_json()["next_cursor"] is None


def test_a_listing_keeps_to_its_filters(client: Client) -> None:
    pings = [submit(client, role=role, tags=[role, "all"]) for role in ROLES]
    worker.perform(pings[2])

    def ids_of(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").get_json()["jobs"]]

    assert ids_of("role=training") == [pings[2]["id"]]
    assert ids_of("kind=ingestion.ping") == [pings[0]["id"]]
    assert ids_of("state=succeeded") == [pings[2]["id"]]
    assert len(ids_of("state=queued")) == 4
    assert ids_of("tag=training") == [pings[2]["id"]]
    assert len(ids_of("tag=all&limit=2")) == 2
    assert ids_of("role=ingestion&tag=training") == []
    assert ids_of("role=ingestion&kind=training.ping") == []
    assert ids_of("kind=nothing.ping") == []


def test_a_queued_job_is_cancelled_at_once_and_twice_is_the_same(client: Client) -> None:
    job = submit(client)
    for _ in range(2):
        response = client.post(f"{job['links']['self']}/cancel")
        assert (response.status_code, response.get_json()["state"]) == (202, "cancelled")
    assert worker.perform(job) is None
    assert client.get(job["links"]["self"]).get_json()["attempt"] == 0


def test_a_running_job_is_asked_to_stop(client: Client) -> None:
    job = submit(client)
    start(job)
    response = client.post(f"{job['links']['self']}/cancel")
    assert (response.status_code, response.get_json()["state"]) == (202, "running")
    with database.of_process()["training"].statements.connect() as connection:
        assert ledger.peek(connection, job["id"], attempt=1) == ledger.Beat(cancel_requested=True, expired=False)


def test_a_job_that_has_ended_cannot_be_cancelled(client: Client) -> None:
    job = submit(client)
    worker.perform(job)
    assert "succeeded" in problem_of(client.post(f"{job['links']['self']}/cancel"), 409)["detail"]


def test_a_failed_job_is_retried_as_a_new_one_with_the_same_pins(populated: Client) -> None:
    accepted = populated.post("/v1/models/m", json={**sample_data.TRAINING, "dataset": "things@latest"})
    worker.perform(accepted.get_json(), body=worker.fail)
    sample_data.load(populated, "things")
    response = populated.post(f"{accepted.headers['Location']}/retry")
    again = response.get_json()
    assert response.status_code == 202
    assert again["id"] != accepted.get_json()["id"]
    assert again["links"]["retry_of"] == accepted.headers["Location"]
    assert sample_data.done(populated, response)["result"]["model"]["version"] == 1
    model = populated.get("/v1/models/m/versions/1").get_json()
    assert model["lineage"]["dataset"] == "things@2"


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.SUCCEEDED])
def test_a_job_that_did_not_fail_cannot_be_retried(client: Client, state: State) -> None:
    job = submit(client)
    if state is State.RUNNING:
        start(job)
    if state is State.SUCCEEDED:
        worker.perform(job)
    assert state in problem_of(client.post(f"{job['links']['self']}/retry"), 409)["detail"]


def test_a_batch_is_accepted_in_its_order_over_all_roles(client: Client) -> None:
    kinds = [f"{role}.ping" for role in (*ROLES[::-1], *ROLES)]
    response = client.post("/v1/jobs/batch", json={"jobs": [{"kind": kind, "params": {}} for kind in kinds]})
    jobs = response.get_json()["jobs"]
    assert response.status_code == 202
    assert [job["kind"] for job in jobs] == kinds
    assert len({job["id"] for job in jobs}) == 10
    for job in jobs:
        assert client.get(job["links"]["self"]).get_json() == job


def test_a_batch_of_a_thousand_is_taken_and_of_more_is_refused(client: Client) -> None:
    ping = {"kind": "training.ping", "params": {}}
    assert len(client.post("/v1/jobs/batch", json={"jobs": [ping] * 1000}).get_json()["jobs"]) == 1000
    assert "1000" in problem_of(client.post("/v1/jobs/batch", json={"jobs": [ping] * 1001}), 422)["detail"]
    problem_of(client.post("/v1/jobs/batch", json={"jobs": []}), 422)


def test_a_batch_with_one_fault_leaves_nothing(client: Client) -> None:
    jobs = [{"kind": "training.ping", "params": {}}, {"kind": "ingestion.ping", "params": {"more": 1}}]
    problem_of(client.post("/v1/jobs/batch", json={"jobs": jobs}), 422)
    assert client.get("/v1/jobs").get_json()["jobs"] == []


def test_ids_sort_by_time_and_carry_their_role(client: Client) -> None:
    made = [submit(client, role=role)["id"] for role in ROLES * 2]
    assert [ids.role_of(job_id) for job_id in made] == [*ROLES, *ROLES]
    assert sorted(made, key=ids.ulid_of) == made
    assert all(re.fullmatch(r"[a-z]+_[0-9A-HJKMNP-TV-Z]{26}", job_id) for job_id in made)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/kinds", "/healthz", "/v1/datasets"])
def test_head_answers_like_get_without_a_body(client: Client, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content_type, head.data) == (get.status_code, get.content_type, b"")
