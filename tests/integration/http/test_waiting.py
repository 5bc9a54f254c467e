"""Prefer: wait, and server-sent events, with a worker that is a thread of ours or that never comes."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest

from api import deferred, preferences, waiting
from shared import database, errors
from shared.jobs import ledger
from shared.jobs.states import State
from tests.integration import worker
from tests.integration.steps import client_of, parts_of, problem_of

Client = flask.testing.FlaskClient
PING = {"kind": "training.ping", "params": {}}


def later(act: Any, *, seconds: float = 0.3) -> threading.Thread:
    """Do something a little later, in another thread."""

    def run() -> None:
        time.sleep(seconds)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def do_newest(client: Client) -> None:
    """Do the newest job, as a worker that was rung would."""
    worker.perform(client.get("/v1/jobs?limit=1").get_json()["jobs"][0])


def test_a_client_that_waits_gets_the_finished_job(client: Client) -> None:
    thread = later(lambda: do_newest(client))
    began = time.monotonic()
    response = client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=20"})
    thread.join()
    assert (response.status_code, response.get_json()["state"]) == (200, "succeeded")
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Location"] == response.get_json()["links"]["self"]
    assert response.headers["ETag"] == client.get(response.headers["Location"]).headers["ETag"]
    assert time.monotonic() - began < 5


def test_a_client_that_waits_gets_a_failed_job_too(client: Client) -> None:
    job = client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": "k"}).get_json()
    worker.perform(job, body=worker.fail)
    began = time.monotonic()
    response = client.post("/v1/jobs", json=PING, headers={"Idempotency-Key": "k", "Prefer": "wait=20"})
    assert (response.status_code, response.get_json()["state"]) == (200, "failed")
    assert time.monotonic() - began < 5  # It has ended, so there is nothing to wait for.


def test_with_no_worker_the_wait_ends_with_202(client: Client) -> None:
    began = time.monotonic()
    response = client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=1"})
    assert 0.9 < time.monotonic() - began < 15
    assert (response.status_code, response.get_json()["state"]) == (202, "queued")
    assert response.headers["Retry-After"] == "1"
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    "prefer",
    [
        "",
        "respond-async",
        "wait",
        "wait=",
        "wait=-1",
        "wait=abc",
        "wait=0",
        "waiting=30",
        "await=30",
        "wait=99999999999999999999",
        "foo; wait=30",
        'foo="bar";wait=30',
        "handling=lenient",
        "," * 10_000,
        "wait = " + "9" * 10_000,
    ],
)
def test_what_is_no_wait_is_ignored(client: Client, prefer: str) -> None:
    began = time.monotonic()
    assert client.post("/v1/jobs", json=PING, headers={"Prefer": prefer}).status_code == 202
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ('WAIT="5"', 5),
        ("respond-async, wait=5", 5),
        ("wait=5, wait=9", 5),
        ("wait=5;x=1", 5),
        ("wait=60", 60),
        ("wait=61", 60),
        ("wait=999999", 60),
    ],
)
def test_a_wait_is_read_as_rfc_7240_writes_it_and_capped(app: flask.Flask, prefer: str, seconds: float) -> None:
    with app.test_request_context(headers={"Prefer": prefer}):
        assert preferences.read().wait_seconds == seconds


def test_who_finds_no_place_to_wait_is_answered_at_once(app: flask.Flask, client: Client) -> None:
    places, config = parts_of(app).watcher._slots, parts_of(app).config
    for number in range(config.api_waits):
        places.take(f"key{number // config.api_waits_per_key}")
    began = time.monotonic()
    assert client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=30"}).status_code == 202
    job = client.get("/v1/jobs").get_json()["jobs"][0]
    response = client.get(job["links"]["events"])
    assert response.headers["Retry-After"]
    problem_of(response, 503)
    assert time.monotonic() - began < 3


def test_one_key_cannot_take_every_place(app: flask.Flask, client: Client, keyring: dict[str, str]) -> None:
    places, config = parts_of(app).watcher._slots, parts_of(app).config
    assert config.api_waits_per_key < config.api_waits
    job = client.post("/v1/jobs", json=PING).get_json()
    [key] = [key for key in parts_of(app).keys.list_all() if keyring["admin"].startswith(f"mr_{key.prefix}_")]
    for _ in range(config.api_waits_per_key):
        places.take(key.id)
    began = time.monotonic()
    assert client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=30"}).status_code == 202
    response = client.get(job["links"]["events"])
    assert int(response.headers["Retry-After"]) > 0
    assert "poll instead" in problem_of(response, 429)["detail"]
    with client_of(app, keyring["writer"]).get(job["links"]["events"]) as stream:
        assert stream.status_code == 200
    assert time.monotonic() - began < 3
    places.give_back(key.id)
    with client.get(job["links"]["events"]) as stream:
        assert stream.status_code == 200


def test_places_of_a_key_are_counted_under_concurrency(app: flask.Flask) -> None:
    places = waiting._Slots(1000, per_key=10)
    taken: list[bool] = []

    def take() -> None:
        for _ in range(50):
            try:
                places.take("k")
                taken.append(True)
            except errors.TooManyRequestsError:
                taken.append(False)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == places.taken == 10
    for _ in range(10):
        places.give_back("k")
    assert places.taken == 0
    assert not places._taken


def test_every_wait_gives_its_place_back(app: flask.Flask, client: Client) -> None:
    places = parts_of(app).watcher._slots
    client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=0.1"})
    job = client.get("/v1/jobs").get_json()["jobs"][0]
    worker.perform(job)
    assert list(events(client.get(job["links"]["events"])))
    with client.get(job["links"]["events"]):
        assert places.taken == 1
    assert client.head(job["links"]["events"]).data == b""
    assert places.taken == 0


def events(response: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Read a stream's events as they come: id, name, data."""
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    for block in response.response:
        text = bytes(block).decode()
        assert text.endswith("\n\n")
        if not text.startswith(":"):
            fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
            yield fields["id"], fields["event"], json.loads(fields["data"])
    response.close()


def test_a_stream_tells_state_and_progress_up_to_the_end(client: Client) -> None:
    job = client.post("/v1/jobs", json=PING).get_json()

    def live() -> None:
        engines = database.of_process()["training"]
        with engines.relaxed.connect() as connection:
            ledger.claim(connection, job["id"], owner="w", lease_seconds=60, max_run_seconds=60)
            time.sleep(0.4)
            ledger.report(connection, job["id"], attempt=1, fraction=0.5, message="half\nway")
            time.sleep(0.4)
        with engines.transactions.begin() as connection:
            ledger.finish(connection, job["id"], attempt=1, state=State.SUCCEEDED, result={"attempt": 1})

    thread = later(live)
    seen = list(events(client.get(job["links"]["events"])))
    thread.join()
    assert [(name, data["state"]) for _, name, data in seen] == [
        ("state", "queued"),
        ("state", "running"),
        ("progress", "running"),
        ("state", "succeeded"),
    ]
    assert seen[2][2]["progress"] == {"fraction": 0.5, "message": "half\nway"}
    assert [int(number) for number, _, _ in seen] == [1, 2, 3, 4]
    assert seen[-1][2] == client.get(job["links"]["self"]).get_json()


def test_the_stream_of_a_job_that_has_ended_is_one_event(client: Client) -> None:
    job = client.post("/v1/jobs", json=PING).get_json()
    worker.perform(job)
    [(_, name, data)] = events(client.get(job["links"]["events"]))
    assert (name, data["state"]) == ("state", "succeeded")


def test_a_stream_where_nothing_moves_is_kept_alive(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "KEEP_ALIVE_SECONDS", 0.05)
    job = client.post("/v1/jobs", json=PING).get_json()
    with client.get(job["links"]["events"]) as response:
        blocks = response.iter_encoded()
        assert next(blocks).startswith(b"id: 1\nevent: state\n")
        assert [next(blocks) for _ in range(3)] == [b": still there\n\n"] * 3


def test_many_who_wait_for_one_job_all_learn_of_its_end(
    app: flask.Flask, client: Client, keyring: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=20"}
    answers_: list[Any] = []
    threads = [
        later(
            lambda: answers_.append(client_of(app, keyring["admin"]).post("/v1/jobs", json=PING, headers=headers)),
            seconds=0,
        )
        for _ in range(10)
    ]
    time.sleep(0.5)
    do_newest(client)
    for thread in threads:
        thread.join()
    assert [response.status_code for response in answers_] == [200] * 10
    assert parts_of(app).watcher._slots.taken == 0


@pytest.mark.parametrize(
    "prefer",
    [
        "wait=20; fail=true",
        "wait=20;fail",
        "fail=true, wait=20",
        "fail; wait=20",
        'wait="20", respond-async, FAIL = "true"; x=1',
        "respond-async, wait=20;x;fail=TRUE, fail=false",
    ],
)
def test_who_prefers_so_gets_a_failed_job_as_a_problem_that_holds_the_job(client: Client, prefer: str) -> None:
    key = {"Idempotency-Key": "k"}
    job = client.post("/v1/jobs", json=PING, headers=key).get_json()
    worker.perform(job, body=worker.fail)
    response = client.post("/v1/jobs", json=PING, headers={**key, "Prefer": prefer})
    problem = problem_of(response, 424)
    assert problem["job"] == client.get(job["links"]["self"]).get_json()
    assert problem["type"] == "urn:millrace:problem:unsuccessful"
    assert problem["job"]["state"] == "failed"
    assert problem["detail"] == f"{job['id']} is failed: {problem['job']['error']['message']}"


@pytest.mark.parametrize(
    "prefer",
    [
        "wait=20",
        "wait=20; fail=false",
        "wait=20; fail=1x",
        "wait=20; failing=true",
        "wait=20, foo; fail=true",
        "wait=20, fail=false, fail=true",
        'wait=20, "fail=true',
    ],
)
def test_who_does_not_prefer_so_gets_a_failed_job_as_it_is(client: Client, prefer: str) -> None:
    key = {"Idempotency-Key": "k"}
    worker.perform(client.post("/v1/jobs", json=PING, headers=key).get_json(), body=worker.fail)
    response = client.post("/v1/jobs", json=PING, headers={**key, "Prefer": prefer})
    assert (response.status_code, response.get_json()["state"]) == (200, "failed")


def test_a_cancelled_job_is_a_problem_too_and_one_that_succeeded_or_still_runs_is_none(client: Client) -> None:
    thread = later(lambda: do_newest(client))
    done = client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=20; fail=true"})
    thread.join()
    assert (done.status_code, done.headers["Preference-Applied"]) == (200, "wait=20, fail=true")
    waiting = client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=0.2; fail=true"})
    assert (waiting.status_code, waiting.get_json()["state"]) == (202, "queued")
    thread = later(
        lambda: client.post(client.get("/v1/jobs?limit=1").get_json()["jobs"][0]["links"]["self"] + "/cancel")
    )
    response = client.post("/v1/jobs", json=PING, headers={"Prefer": "fail=true, wait=20"})
    thread.join()
    problem = problem_of(response, 424)
    assert problem["job"]["state"] == "cancelled"
    assert problem["detail"] == f"{problem['job']['id']} is cancelled: The job was cancelled."


def test_a_poll_waits_for_the_end_and_answers_as_the_submission_would_have(client: Client) -> None:
    path = client.post("/v1/jobs", json=PING).headers["Location"]
    assert client.get(path, headers={"Prefer": "wait=0.2; fail=true"}).get_json()["state"] == "queued"
    thread = later(lambda: do_newest(client))
    done = client.get(path, headers={"Prefer": "wait=20; fail=true"})
    thread.join()
    assert (done.status_code, done.get_json()["state"]) == (200, "succeeded")
    assert done.headers["Preference-Applied"] == "wait=20, fail=true"
    known = {"If-None-Match": done.headers["ETag"], "Prefer": "wait=20"}
    assert client.get(path, headers=known).status_code == 304
    assert parts_of(client.application).watcher._slots.taken == 0


@pytest.mark.parametrize("prefer", ["wait=30; fail=true", "fail=true"])
def test_a_poll_of_a_failed_job_is_a_problem_that_holds_it_for_who_prefers_so(client: Client, prefer: str) -> None:
    job = client.post("/v1/jobs", json=PING).get_json()
    worker.perform(job, body=worker.fail)
    path = job["links"]["self"]
    plain = client.get(path, headers={"Prefer": "wait=30"})
    assert (plain.status_code, plain.get_json()["state"]) == (200, "failed")
    # That the client knows the job already makes it no success.
    for headers in ({}, {"If-None-Match": plain.headers["ETag"]}):
        problem = problem_of(client.get(path, headers={"Prefer": prefer, **headers}), 424)
        assert problem["job"] == plain.get_json()
        assert problem["type"] == "urn:millrace:problem:unsuccessful"
