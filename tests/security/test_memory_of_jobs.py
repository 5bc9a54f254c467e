"""A job that would take all memory fails at the limit of its process, which goes on with the next job."""

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration import worker
from tests.integration.steps import at_home
from tests.system.rig import until
from tests.system_under_test import System

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS doesn't keep the limit")
ROWS = 10_000
"""Their kernel's matrix has 800 MB."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a system with a training worker whose process may take 1 GiB, and a dataset."""
    settings = {"MILLRACE_WORKER_MEMORY_TRAINING": "1GiB"}
    home: pathlib.Path = tmp_path_factory.mktemp("limited")
    with System(home, settings=settings) as system:
        system.start(["api", "sweeper", "training"])
        data = "a,b,y\n" + "".join(f"{n % 97},{n % 89},{n % 83 + 0.5}\n" for n in range(ROWS))
        headers = {"Content-Type": "text/csv"}
        job = system.client.post("/v1/datasets/numbers", content=data, headers=headers).json()
        with at_home(home):
            assert worker.perform(job) is None
        yield system


def train(system: System, estimator: str) -> dict[str, Any]:
    request = {
        "dataset": "numbers@1",
        "target": "y",
        "problem": "regression",
        "estimator": {"name": estimator},
        "validation": {"method": "hold_out", "test_fraction": 0.2},
    }
    answer = system.client.post(f"/v1/models/{estimator.lower()}", json=request)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()

    def ended() -> bool:
        nonlocal job
        job = system.client.get(job["links"]["self"]).json()
        return job["state"] not in {"queued", "running"}

    until(ended, seconds=100, what=lambda: f"{job}")
    return job


def test_a_fit_that_needs_too_much_fails_once_and_the_next_one_succeeds(system: System) -> None:
    failed = train(system, "KernelRidge")
    assert (failed["state"], failed["attempt"]) == ("failed", 1)
    assert failed["error"]["type"] == "LimitExceededError"
    assert "more memory than a process of the role training may take, which is 1 GiB" in failed["error"]["message"]
    assert "MILLRACE_WORKER_MEMORY_TRAINING" in failed["error"]["message"]
    assert train(system, "Ridge")["state"] == "succeeded"
    log = system.log("training").read_text()
    assert log.count('"job_claimed"') == 2
