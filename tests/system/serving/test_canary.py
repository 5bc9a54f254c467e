"""Canaries with real processes: a version that answers wrong is taken out, a good one takes over, whoever is killed."""

import contextlib
import pathlib
import random
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration import sample_data
from tests.system_under_test import System

PATH = "/v1/deployments/great"
WAIT_SECONDS = 120.0
GATE = {
    "metrics": [
        {"name": "accuracy", "source": "feedback", "margin": 0.1, "min_units": 100},
        {"name": "error_rate", "source": "error_rate", "margin": 0.05, "min_units": 30},
    ],
    "interval_seconds": 1,
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a whole system with a model whose second version has learned the opposite of the others."""
    right = sample_data.table(rows=400)
    wrong = right.replace(b",yes\n", b",?\n").replace(b",no\n", b",yes\n").replace(b",?\n", b",no\n")
    with System(tmp_path_factory.mktemp("canary")) as system:
        system.start(["api", "sweeper", "inference", "ingestion,training", "prediction"])
        for table, dataset in ((right, "things@1"), (wrong, "things@2"), (right, "things@3")):
            finish(
                system, system.client.post("/v1/datasets/things", content=table, headers={"Content-Type": "text/csv"})
            )
            finish(
                system, system.client.post("/v1/models/greatness", json={**sample_data.TRAINING, "dataset": dataset})
            )
        yield system


def finish(system: System, accepted: httpx.Response) -> None:
    assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
    until = time.monotonic() + WAIT_SECONDS
    while system.client.get(accepted.headers["Location"]).json()["state"] != "succeeded":
        assert time.monotonic() < until
        time.sleep(0.05)


class Crowd:
    """Clients that ask for predictions, each for itself, and tell afterwards what became true."""

    def __init__(self, system: System) -> None:
        """Ask nothing yet."""
        self.system = system
        self.chance = random.Random(11)
        self.asked: dict[str, list[str]] = {}
        """The versions that answered each client, in order."""
        self.failures: list[str] = []
        headers = {"Authorization": f"Bearer {system.key}"}
        self.inference = httpx.Client(base_url=system.inference_url, headers=headers, timeout=30)

    def ask(self, count: int, *, clients: int = 1000) -> None:
        """Let clients ask, and tell the truth of all their predictions."""
        items = []
        for _ in range(count):
            name = f"client-{self.chance.randrange(clients)}"
            a, b = self.chance.uniform(-1, 1), self.chance.uniform(-1, 1)
            body = {"instances": [{"a": a, "b": b, "word": "red"}]}
            answer = self.inference.post(f"{PATH}/predictions", json=body, headers={"Millrace-Unit": name})
            if answer.status_code != httpx.codes.OK:
                self.failures.append(answer.text)
                continue
            self.asked.setdefault(name, []).append(answer.json()["versions"][0])
            identity = answer.headers["Millrace-Prediction-Id"]
            assert answer.json()["prediction_ids"] == [identity]
            items.append({"prediction_id": identity, "actual": "yes" if a + b > 0 else "no"})
        stored = self.system.client.post(f"{PATH}/feedback", json={"items": items})
        assert stored.json() == {"stored": len(items), "errors": []}, stored.text

    def ask_until(self, *statuses: str) -> dict[str, Any]:
        """Ask until the canary is in one of some states; a worker is killed on the way, and started again."""
        until = time.monotonic() + WAIT_SECONDS
        rounds = 0
        while True:
            self.ask(40)
            canary: dict[str, Any] = self.system.client.get(PATH).json()["canary"]
            if canary["status"] in statuses:
                return canary
            assert time.monotonic() < until, canary
            rounds += 1
            if rounds == 2:
                self.system.kill("prediction")
            if rounds == 4:
                self.system.start(["prediction"])


@pytest.fixture
def crowd(system: System) -> Iterator[Crowd]:
    """Yield clients of the system."""
    crowd = Crowd(system)
    with contextlib.closing(crowd.inference):
        yield crowd


def deploy(system: System, model: str, *, canary: str | None = None, steps: tuple[float, ...] = (30, 100)) -> None:
    document = {
        "routes": [{"model": model, "weight": 100}],
        "canary": canary and {"model": canary, "steps": list(steps), "gate": GATE},
    }
    answer = system.client.put(PATH, json=document)
    assert answer.status_code == httpx.codes.OK, answer.text


def await_served(crowd: Crowd, shares: dict[str, float]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        answer = crowd.inference.get(PATH)
        if answer.status_code == httpx.codes.OK and answer.json()["shares"] == shares:
            return
        assert time.monotonic() < until, answer.text
        time.sleep(0.05)


def list_actions(system: System) -> list[str]:
    document = system.client.get(f"{PATH}/history?verify=true").json()
    assert document["verified"]["whole"]
    return [change["action"] for change in document["changes"]]


def count_rows(system: System, query: str) -> int:
    path: pathlib.Path = system.home / "databases" / "prediction.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        return int(connection.execute(query).fetchone()[0] or 0)


def test_a_version_that_answers_wrong_is_taken_out(system: System, crowd: Crowd) -> None:
    deploy(system, "greatness@1")
    await_served(crowd, {"greatness@1": 1.0})
    deploy(system, "greatness@1", canary="greatness@2")
    await_served(crowd, {"greatness@1": 0.7, "greatness@2": 0.3})
    canary = crowd.ask_until("rolled_back", "promoted", "paused")
    assert canary["status"] == "rolled_back", canary
    assert "worse by" in canary["reason"]
    await_served(crowd, {"greatness@1": 1.0})
    crowd.ask(20)
    assert {versions[-1] for versions in list(crowd.asked.values())[-5:]} <= {"greatness@1", "greatness@2"}
    assert crowd.failures == []
    assert list_actions(system)[0] == "canary_rolled_back"


def test_a_good_version_takes_over_and_who_has_met_it_keeps_it(system: System, crowd: Crowd) -> None:
    system.start(["prediction"])
    deploy(system, "greatness@1")
    await_served(crowd, {"greatness@1": 1.0})
    deploy(system, "greatness@1", canary="greatness@3", steps=(30, 60, 100))
    await_served(crowd, {"greatness@1": 0.7, "greatness@3": 0.3})
    canary = crowd.ask_until("rolled_back", "promoted", "paused")
    assert canary["status"] == "promoted", canary
    await_served(crowd, {"greatness@3": 1.0})
    crowd.ask(20)
    assert crowd.failures == []
    for versions in crowd.asked.values():
        assert versions == sorted(versions), "somebody was sent back"
    assert list_actions(system)[:2] == ["canary_promoted", "canary_advanced"]


def test_every_unit_at_every_arm_is_told_of_once_although_copies_are_killed(system: System, crowd: Crowd) -> None:
    deploy(system, "greatness@1")
    await_served(crowd, {"greatness@1": 1.0})
    before = count_rows(system, "SELECT count(*) FROM exposures WHERE arm = 'greatness@1'")
    crowd.asked.clear()
    names = []
    for number in range(3):
        for each in range(20):
            name = f"newcomer-{number}-{each}"
            body = {"instances": [{"a": 0.1, "b": 0.2, "word": "red"}]}
            answer = crowd.inference.post(f"{PATH}/predictions", json=body, headers={"Millrace-Unit": name})
            assert answer.status_code == httpx.codes.OK, answer.text
            names.append(name)
        system.kill("inference")
        system.start(["inference"])
        await_served(crowd, {"greatness@1": 1.0})
    until = time.monotonic() + WAIT_SECONDS
    query = "SELECT count(*) FROM exposures WHERE arm = 'greatness@1'"
    while count_rows(system, query) < before + len(names):
        assert time.monotonic() < until, count_rows(system, query)
        time.sleep(0.1)
    time.sleep(2)
    assert count_rows(system, query) == before + len(names)
    assert count_rows(system, "SELECT sum(lost) FROM taken_segments") == 0
