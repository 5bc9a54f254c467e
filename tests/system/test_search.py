"""A search on real workers: its trials spread over them, and a worker that is killed costs at most its trial."""

import random
import time
from typing import Any

import httpx
import pytest

from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import Rig

TRIALS = 8
WORKERS = ["training", "training#2"]
SEARCH: dict[str, Any] = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "estimator": {"name": "RandomForestClassifier", "params": {"n_estimators": 60}},
    "validation": {"method": "cross_validation", "folds": 4},
    "search": {"trials": TRIALS, "space": {"max_depth": {"int_low": 2, "int_high": 20}}},
}


def table(*, rows: int = 3000) -> bytes:
    dice = random.Random(5)
    lines = ["a,b,c,great"]
    for _ in range(rows):
        a, b, c = (dice.gauss(0, 1) for _ in range(3))
        lines.append(f"{a},{b},{c},{'yes' if a * b + c + dice.gauss(0, 1) > 0 else 'no'}")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def stocked(backend: str, make_rig: MakeRig) -> Rig:
    """Return a system with two workers for training, each with one process, and a dataset."""
    rig = make_rig(backend, worker_concurrency="1", test_own_jobs="1")
    rig.start(["api", "sweeper", "ingestion", *WORKERS])
    answer = rig.client.post("/v1/datasets/things", content=table(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert rig.await_state(answer.json()["id"])["state"] == "succeeded"
    return rig


def submit(rig: Rig) -> str:
    answer = rig.client.post("/v1/models/sought", json=SEARCH)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


def trials(rig: Rig, search: str) -> list[dict[str, Any]]:
    listed = rig.client.get("/v1/jobs?kind=training.trial&limit=100").json()["jobs"]
    return [each for each in listed if each["links"]["parent"] == f"/v1/jobs/{search}"]


def running(rig: Rig, search: str) -> list[dict[str, Any]]:
    return [each for each in trials(rig, search) if each["state"] == "running"]


def test_a_killed_worker_costs_its_trial_and_no_other(stocked: Rig) -> None:
    search = submit(stocked)
    rigs.until(lambda: len(running(stocked, search)) == 2, seconds=60, what="two trials at once")
    owners = {stocked.row(each["id"]).lease_owner.partition("/")[0] for each in running(stocked, search)}
    rigs.kill_9([stocked.working_child(running(stocked, search)[0]["id"])])
    job = stocked.await_state(search, seconds=120)
    assert job["state"] == "succeeded", job["error"]
    assert len(owners) == 2
    counts = job["result"]["search"]["trials"]
    assert (counts["finished"], counts["failed"]) == (TRIALS, 0)
    lost = [stocked.row(each["id"]).lost for each in trials(stocked, search)]
    assert sorted(lost) == [0] * (TRIALS - 1) + [1]
    assert sorted(each["attempt"] for each in trials(stocked, search)) == [1] * (TRIALS - 1) + [2]


def test_a_whole_worker_that_dies_leaves_the_search_to_the_others(stocked: Rig) -> None:
    search = submit(stocked)
    rigs.until(lambda: len(running(stocked, search)) == 2, seconds=60, what="two trials at once")
    stocked.kill(WORKERS[1])
    try:
        job = stocked.await_state(search, seconds=120)
        assert job["state"] == "succeeded", job["error"]
        assert sum(stocked.row(each["id"]).lost for each in trials(stocked, search)) <= 1
        assert job["result"]["search"]["trials"]["finished"] == TRIALS
    finally:
        stocked.start([WORKERS[1]])


def test_cancelling_a_search_stops_its_running_trials(stocked: Rig) -> None:
    search = submit(stocked)
    rigs.until(lambda: len(running(stocked, search)) == 2, seconds=60, what="two trials at once")
    began = time.monotonic()
    stocked.cancel(search)
    stocked.await_state(search, "cancelled", seconds=10)
    rigs.until(lambda: not running(stocked, search), seconds=10, what="the trials to stop")
    assert time.monotonic() - began < 15
    assert {each["state"] for each in trials(stocked, search)} <= {"cancelled", "succeeded"}
