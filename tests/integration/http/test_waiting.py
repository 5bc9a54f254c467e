"""Prefer: wait, and server-sent events, with a worker that is a thread of ours or that never comes."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest

from api import answers, jobs
from shared import database
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
    assert 0.9 < time.monotonic() - began < 3
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
    assert time.monotonic() - began < 0.9


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
        assert answers.preferred_wait_seconds() == seconds


def test_who_finds_no_place_to_wait_is_answered_at_once(app: flask.Flask, client: Client) -> None:
    places = parts_of(app).watcher._slots
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    assert taken == 16
    began = time.monotonic()
    assert client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=30"}).status_code == 202
    job = client.get("/v1/jobs").get_json()["jobs"][0]
    response = client.get(job["links"]["events"])
    assert response.headers["Retry-After"]
    problem_of(response, 503)
    assert time.monotonic() - began < 3


def test_every_wait_gives_its_place_back(app: flask.Flask, client: Client) -> None:
    places = parts_of(app).watcher._slots
    client.post("/v1/jobs", json=PING, headers={"Prefer": "wait=0.1"})
    job = client.get("/v1/jobs").get_json()["jobs"][0]
    worker.perform(job)
    assert list(events(client.get(job["links"]["events"])))
    with client.get(job["links"]["events"]):
        assert places._value == 15
    client.head(job["links"]["events"])
    assert places._value == 16


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
    monkeypatch.setattr(jobs, "_KEEP_ALIVE_SECONDS", 0.05)
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
    assert parts_of(app).watcher._slots._value == 16
