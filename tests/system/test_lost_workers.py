"""A worker is killed with its leases still long: who starts anew on its host, or works there, goes on with its jobs."""

import sys
import time

import psutil
import pytest

from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import ROLE, Rig

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="death is proved on Linux only")
MOST_SECONDS = 30.0
"""Three times what is promised, for a machine on which others compute."""
_SECONDS_OF_A_START = 20
"""What starting a second worker may take there."""


@pytest.fixture
def patient(backend: str, make_rig: MakeRig) -> Rig:
    """Return a system whose leases outlast the test."""
    rig = make_rig(backend, worker_concurrency="2", lease_seconds="600", fence_seconds="500", beat_seconds="2")
    rig.start()
    return rig


def start_jobs(rig: Rig, *, seconds: float = 4) -> tuple[list[str], list[psutil.Process]]:
    """Let the worker's two processes each work on a job; it must outlast what a test does before it kills."""
    job_ids = [rig.submit(seconds=seconds, times=1) for _ in range(2)]
    for job_id in job_ids:
        rig.await_state(job_id, "running")
    return job_ids, [rig.working_child(job_id) for job_id in job_ids]


def check_recovery(rig: Rig, job_ids: list[str], *, killed_at: float) -> None:
    """See that the jobs run again in time, and are done once."""
    rigs.until(
        lambda: all(rig.row(job_id).attempt == 2 for job_id in job_ids), seconds=MOST_SECONDS, what="second attempts"
    )
    print(f"went on {time.monotonic() - killed_at:.1f} s after the kill")  # noqa: T201 - it is to be seen.
    for job_id in job_ids:
        assert rig.await_state(job_id, seconds=60)["state"] == "succeeded"
        assert (rig.row(job_id).lost, rig.row(job_id).attempt, rig.effects()[job_id]) == (1, 2, 1)


def test_who_starts_anew_goes_on_with_the_jobs_of_the_killed(patient: Rig) -> None:
    job_ids, children = start_jobs(patient)
    patient.kill_parent(ROLE)
    killed_at = time.monotonic()
    psutil.wait_procs(children, timeout=5)
    assert not any(child.is_running() for child in children), "a pool ends with its parent"
    patient.processes[ROLE].wait(timeout_seconds=5)
    patient.launch(ROLE)
    check_recovery(patient, job_ids, killed_at=killed_at)


def test_who_works_beside_the_killed_goes_on_with_its_jobs(patient: Rig) -> None:
    job_ids, _ = start_jobs(patient, seconds=_SECONDS_OF_A_START)
    patient.start([f"{ROLE}#2"])
    patient.kill_parent(ROLE)
    patient.processes[ROLE].wait(timeout_seconds=5)
    check_recovery(patient, job_ids, killed_at=time.monotonic())


def test_a_parent_that_is_stopped_is_not_dead(patient: Rig) -> None:
    job_ids, children = start_jobs(patient, seconds=_SECONDS_OF_A_START)
    patient.start([f"{ROLE}#2"])
    parent = psutil.Process(patient.processes[ROLE].pid)
    parent.suspend()
    try:
        rigs.kill_9(children)
        time.sleep(5)
        assert [(patient.row(job_id).state, patient.row(job_id).attempt) for job_id in job_ids] == [("running", 1)] * 2
    finally:
        parent.resume()
    check_recovery(patient, job_ids, killed_at=time.monotonic())
