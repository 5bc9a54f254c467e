"""Waiting over real HTTP: events as they come, and clients that go away."""

import contextlib
import json
import threading
import time
from typing import Any

import httpx
import pytest

from shared import database
from shared.jobs import ledger
from shared.jobs.states import State
from tests.integration import worker
from tests.integration.steps import at_home, problem_of
from tests.system_under_test import System

PLACES = 8
"""Half of the eight threads that the API has here."""


def submit(served: System) -> dict[str, Any]:
    """Submit a job that does nothing."""
    job: dict[str, Any] = served.client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).json()
    return job


def stream(served: System, job: dict[str, Any]) -> Any:
    """Follow a job."""
    return served.client.stream("GET", job["links"]["events"])


def test_events_come_as_they_happen_and_end_with_the_job(served: System) -> None:
    job = submit(served)
    seen: list[tuple[float, str]] = []
    with at_home(served.home), stream(served, job) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append((time.monotonic(), json.loads(line[6:])["state"]))
                if len(seen) == 1:
                    timer = threading.Timer(0.5, worker.perform, [job])
                    timer.start()
    timer.join()
    states = [state for _, state in seen]
    assert states[0] == State.QUEUED
    assert states[-1] == State.SUCCEEDED
    assert seen[-1][0] - seen[0][0] > 0.4


def test_a_waiting_client_is_answered_when_its_job_ends(served: System) -> None:
    with at_home(served.home), httpx.Client(base_url=served.url, headers=served.client.headers, timeout=30) as other:

        def do() -> None:
            time.sleep(0.3)
            worker.perform(served.client.get("/v1/jobs?tag=waited").json()["jobs"][0])

        thread = threading.Thread(target=do)
        thread.start()
        order = {"kind": "training.ping", "params": {}, "tags": ["waited"]}
        began = time.monotonic()
        response = other.post("/v1/jobs", json=order, headers={"Prefer": "wait=20"})
        thread.join()
    assert (response.status_code, response.json()["state"]) == (200, "succeeded")
    assert time.monotonic() - began < 5


def test_clients_that_leave_give_their_places_back(served: System) -> None:
    job = submit(served)
    with at_home(served.home):
        engines = database.of_process()["training"]
        with engines.relaxed.connect() as connection:
            ledger.claim(connection, job["id"], owner="w", lease_seconds=600, max_run_seconds=600)
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(stream(served, job)) for _ in range(PLACES)]
            assert [response.status_code for response in streams] == [200] * PLACES
            # A stream is closed with the iterator of its lines.
            lines = [response.iter_lines() for response in streams]
            assert [next(each) for each in lines] == ["id: 2"] * PLACES
            response = served.client.get(job["links"]["events"])
            assert response.headers["Retry-After"]
            problem_of(response, 503)
        until = time.monotonic() + 10
        while True:
            with stream(served, job) as response:
                if response.status_code == 200:
                    break
            assert time.monotonic() < until
            time.sleep(0.1)
        with engines.transactions.begin() as connection:
            ledger.finish(connection, job["id"], attempt=1, state=State.SUCCEEDED, result={"attempt": 1})


@pytest.mark.parametrize("wait", [1])
def test_many_who_wait_leave_the_api_open_to_others(served: System, wait: int) -> None:
    def ask() -> None:
        order = {"kind": "training.ping", "params": {}}
        with httpx.Client(base_url=served.url, headers=served.client.headers, timeout=30) as client:
            assert client.post("/v1/jobs", json=order, headers={"Prefer": f"wait={wait}"}).status_code == 202

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert served.client.get("/healthz").status_code == 200
    assert time.monotonic() - began < wait
    for thread in threads:
        thread.join()
