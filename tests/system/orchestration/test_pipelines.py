"""Pipelines on real processes: each step once whoever is killed, and cancelled runs leave nothing."""

import random
import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from shared import roles
from shared.jobs import tables
from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import Rig

PATH = "/v1/pipelines/nightly"
CONDUCTOR = "orchestration"
SCORED: dict[str, Any] = {
    "params": {"dataset": "things@1"},
    "steps": [
        {
            "name": "split",
            "kind": "processing.split",
            "params": {"dataset": "${params.dataset}", "parts": {"train": 0.7, "test": 0.3}, "seed": 1},
        },
        {
            "name": "fit",
            "kind": "training.fit",
            "params": {
                "name": "great",
                "dataset": "things-train@latest",
                "target": "great",
                "problem": "classification",
                "estimator": {"name": "LogisticRegression"},
            },
            "needs": ["split"],
        },
        {
            "name": "score",
            "kind": "evaluation.score",
            "params": {"model": "${fit.model}", "dataset": "things-test@latest"},
        },
    ],
}
WIDE: dict[str, Any] = {
    "steps": [
        {"name": "first", "kind": "ingestion.ping"},
        {"name": "many", "kind": "processing.ping", "needs": ["first"], "for_each": list(range(12))},
        {"name": "last", "kind": "ingestion.ping", "needs": ["many"]},
    ]
}


@pytest.fixture(scope="module")
def system(backend: str, make_rig: MakeRig) -> Rig:
    """Return a system that carries out pipelines, with a dataset."""
    rig = make_rig(backend, worker_concurrency="2", test_own_jobs="1")
    rig.start(["api", "sweeper", "ingestion,processing,training,evaluation", CONDUCTOR])
    rig.make_service_key()
    dice = random.Random(5)
    rows = [f"{dice.gauss(0, 1)},{dice.gauss(0, 1)},{dice.choice(('yes', 'no'))}" for _ in range(300)]
    csv = "\n".join(["a,b,great", *rows]).encode()
    answer = rig.client.post("/v1/datasets/things", content=csv, headers={"Content-Type": "text/csv"})
    assert rig.await_state(answer.json()["id"])["state"] == "succeeded"
    return rig


def put(rig: Rig, pipeline: dict[str, Any]) -> None:
    answer = rig.client.put(PATH, json=pipeline)
    assert answer.status_code in (httpx.codes.OK, httpx.codes.CREATED), answer.text


def begin(rig: Rig) -> str:
    answer = rig.client.post(f"{PATH}/runs", json={})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


def show(rig: Rig, run_id: str) -> dict[str, Any]:
    answer = rig.client.get(f"{PATH}/runs/{run_id}")
    assert answer.status_code == httpx.codes.OK, answer.text
    document: dict[str, Any] = answer.json()
    return document


def await_end(rig: Rig, run_id: str, *, seconds: float = 60.0) -> dict[str, Any]:
    rigs.until(
        lambda: show(rig, run_id)["finished_at"] is not None, seconds=seconds, what=lambda: str(show(rig, run_id))
    )
    return show(rig, run_id)


def list_states(rig: Rig, run_id: str) -> list[tuple[str, str]]:
    """List kind and state of all jobs of a run's story but its own."""
    found = []
    for role in set(roles.ROLES) - {CONDUCTOR}:
        with rig.databases[role].statements.connect() as connection:
            query = sa.select(tables.jobs.c.kind, tables.jobs.c.state).where(tables.jobs.c.correlation_id == run_id)
            found += [(row.kind, row.state) for row in connection.execute(query)]
    return sorted(found)


def test_a_pipeline_splits_fits_and_scores(system: Rig) -> None:
    put(system, SCORED)
    run_id = begin(system)
    run = await_end(system, run_id, seconds=120)
    assert run["state"] == "succeeded", run
    assert [step["state"] for step in run["steps"]] == ["succeeded"] * 3
    assert run["outputs"]["fit"]["model"]["name"] == "great"
    kinds = ["evaluation.score", "processing.split", "training.fit"]
    assert list_states(system, run_id) == [(kind, "succeeded") for kind in kinds]
    events = system.client.get(f"/v1/events?correlation={run_id}&limit=500").json()["events"]
    assert {"dev.millrace.job.succeeded"} <= {event["type"] for event in events}


def test_a_killed_conductor_submits_each_step_once(system: Rig) -> None:
    put(system, WIDE)
    run_ids = [begin(system) for _ in range(4)]
    dice = random.Random(7)
    for _ in range(5):
        time.sleep(dice.uniform(0.05, 0.6))
        system.kill(CONDUCTOR)
        system.launch(CONDUCTOR)
    for run_id in run_ids:
        assert await_end(system, run_id, seconds=120)["state"] == "succeeded"
        expected = [("ingestion.ping", "succeeded")] * 2 + [("processing.ping", "succeeded")] * 12
        assert list_states(system, run_id) == expected


def test_a_cancelled_run_leaves_nothing_also_when_the_conductor_dies(system: Rig) -> None:
    steps = [
        {"name": f"s{number}", "kind": "training.act", "params": {"how": "sleep", "seconds": 60}} for number in range(3)
    ]
    put(system, {"steps": steps})
    run_id = begin(system)
    rigs.until(lambda: len(list_states(system, run_id)) == 3, seconds=30, what="three jobs")
    assert system.client.post(f"{PATH}/runs/{run_id}/cancel").status_code == httpx.codes.ACCEPTED
    system.kill(CONDUCTOR)
    system.launch(CONDUCTOR)
    rigs.until(
        lambda: {state for _, state in list_states(system, run_id)} == {"cancelled"},
        seconds=60,
        what=lambda: str(list_states(system, run_id)),
    )
    rigs.until(
        lambda: {step["state"] for step in show(system, run_id)["steps"]} == {"cancelled"},
        seconds=30,
        what=lambda: str(show(system, run_id)),
    )
    assert show(system, run_id)["state"] == "cancelled"
