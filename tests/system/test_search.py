"""Parents on real workers: their children spread over them, and a worker that is killed costs at most its child."""

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
REGIONS = ["north", "south", "west", "east", "North"]
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
    lines = ["a,b,c,region,great"]
    for number in range(rows):
        a, b, c = (dice.gauss(0, 1) for _ in range(3))
        great = "yes" if a * b + c + dice.gauss(0, 1) > 0 else "no"
        lines.append(f"{a},{b},{c},{REGIONS[number % len(REGIONS)]},{great}")
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


def trials(rig: Rig, parent: str, *, kind: str = "training.trial") -> list[dict[str, Any]]:
    listed = rig.client.get(f"/v1/jobs?kind={kind}&limit=100").json()["jobs"]
    return [each for each in listed if each["links"]["parent"] == f"/v1/jobs/{parent}"]


def running(rig: Rig, parent: str, *, kind: str = "training.trial") -> list[dict[str, Any]]:
    return [each for each in trials(rig, parent, kind=kind) if each["state"] == "running"]


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


def test_models_of_values_are_trained_side_by_side_and_none_is_doubled_or_lost_by_a_kill(stocked: Rig) -> None:
    kind = "training.segment"
    order = {name: value for name, value in SEARCH.items() if name != "search"}
    answer = stocked.client.post("/v1/models/regional", json={**order, "per": "region"})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    parent = str(answer.json()["id"])
    rigs.until(lambda: len(running(stocked, parent, kind=kind)) == 2, seconds=60, what="two models at once")
    owners = {stocked.row(each["id"]).lease_owner.partition("/")[0] for each in running(stocked, parent, kind=kind)}
    rigs.kill_9([stocked.working_child(running(stocked, parent, kind=kind)[0]["id"])])
    job = stocked.await_state(parent, seconds=180)
    assert job["state"] == "succeeded", job["error"]
    assert len(owners) == 2
    values = job["result"]["per"]["values"]
    assert sorted(value["value"] for value in values) == sorted(REGIONS)
    assert {value["state"] for value in values} == {"trained"}
    children = trials(stocked, parent, kind=kind)
    assert sorted(each["attempt"] for each in children) == [1] * len(REGIONS) + [2]
    models = [job["result"]["per"]["switch"]["default"], *job["result"]["per"]["switch"]["models"].values()]
    assert len(set(models)) == len(REGIONS) + 1
    for model in models:
        name, version = model.split("@")
        assert version == "1"
        assert len(stocked.client.get(f"/v1/models/{name}").json()["versions"]) == 1
