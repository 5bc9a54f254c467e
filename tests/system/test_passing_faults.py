"""A database is read-only, or the disk full, for longer than a lease: jobs are late and neither failed nor lost."""

import pathlib
import time

import httpx
import pytest

from tests import disks, servers_postgres
from tests.system import outages
from tests.system import rig as rigs
from tests.system.conftest import MakeRig
from tests.system.rig import ROLE, Rig

OUTAGE_SECONDS = 10.0
"""Longer than the tests' leases, after which everybody is fenced."""
RECOVERY_SECONDS = 60.0


def check_done(rig: Rig, job_ids: list[str]) -> None:
    """See that jobs succeed in time, each once, and that no worker counts as lost."""
    limit = time.monotonic() + RECOVERY_SECONDS
    for job_id in job_ids:
        job = rig.await_state(job_id, seconds=max(1.0, limit - time.monotonic()))
        assert (job["state"], rig.row(job_id).lost) == ("succeeded", 0)
        assert rig.effects()[job_id] == 1


def start_jobs(rig: Rig, *seconds: float) -> list[str]:
    """Let each of the worker's processes work on a job for some seconds."""
    job_ids = [rig.submit(seconds=each) for each in seconds]
    for job_id in job_ids:
        rig.await_state(job_id, "running")
    return job_ids


@pytest.mark.servers
def test_a_failover_costs_jobs_time_only(make_rig: MakeRig, private_postgres: servers_postgres.PrivatePostgres) -> None:
    rig = make_rig("servers", worker_concurrency="2")
    rig.start()
    for _ in range(3):
        # One ends while its end can't be written, the other is fenced in the middle.
        job_ids = start_jobs(rig, 2, 8)
        waiting = rig.submit()
        with outages.database_read_only(rig, ROLE, private_postgres):
            until = time.monotonic() + OUTAGE_SECONDS
            while time.monotonic() < until:
                answer = rig.client.post("/v1/jobs", json={"kind": f"{ROLE}.act", "params": {}})
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
                assert int(answer.headers["Retry-After"]) > 0
                assert rig.client.get(f"/v1/jobs/{waiting}").status_code == httpx.codes.OK
                time.sleep(0.5)
            reasons = rig.client.get("/readyz").json()["reasons"]
            assert reasons[f"database.{ROLE}"] == "is read-only at the moment", reasons
        check_done(rig, [*job_ids, waiting])
    rigs.until(lambda: rig.client.get("/readyz").json()["not_ready"] == [], seconds=10, what="to be ready")


def test_a_full_disk_costs_jobs_time_only(tmp_path: pathlib.Path) -> None:
    with (
        disks.small(tmp_path / "disk", kibibytes=64 * 1024) as disk,
        rigs.Rig(disk / "home", settings={"MILLRACE_WORKER_CONCURRENCY": "2"}) as rig,
    ):
        rig.start()
        job_ids = start_jobs(rig, 2, 4)
        with disks.filled(disk):
            until = time.monotonic() + OUTAGE_SECONDS
            while time.monotonic() < until:
                order = {"kind": f"{ROLE}.act", "params": {"secret": "x" * 20_000}}
                answer = rig.client.post("/v1/jobs", json=order)
                assert answer.status_code in {httpx.codes.ACCEPTED, httpx.codes.SERVICE_UNAVAILABLE}, answer.text
                if answer.status_code == httpx.codes.ACCEPTED:
                    job_ids.append(answer.json()["id"])
                time.sleep(0.2)
            assert rig.client.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        check_done(rig, [*job_ids, rig.submit()])
