"""What operators see and type: Flower, the logs, the services, and the commands that start workers."""

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests import system_under_test
from tests.system import outages
from tests.system import rig as rigs
from tests.system.flower import flower, tasks_shown, workers_shown
from tests.system.rig import ROLE, Rig

CANARY = "canary-7f1d55"


@pytest.fixture(autouse=True)
def _whole(rig: Rig) -> None:
    """Begin each test with a worker whose pool is whole."""
    rigs.until(lambda: len(rig.children(ROLE)) == 2, seconds=20, what="a whole pool")


def test_flower_shows_workers_by_role_and_tasks_by_kind_to_operators_only(rig: Rig) -> None:
    with flower(rig) as client:
        for path in ("/", "/api/workers", "/api/tasks", "/workers", "/tasks"):
            assert httpx.get(f"{client.base_url}{path}").status_code == httpx.codes.UNAUTHORIZED, path
        job_id = rig.submit()
        rig.await_state(job_id)
        rigs.until(lambda: bool(workers_shown(client)), seconds=20, what="Flower to know a worker")
        assert [name.partition(".")[0] for name in workers_shown(client)] == [ROLE]
        job_id = rig.submit()
        rig.await_state(job_id)
        rigs.until(
            lambda: tasks_shown(client).get(job_id, {}).get("state") == "SUCCESS",
            seconds=20,
            what="Flower to show the task's end, of which it hears after the job's row has it",
        )
        assert tasks_shown(client)[job_id]["name"] == f"{ROLE}.act"
    rig.stop(["flower"])


def test_each_event_of_a_job_is_one_line_of_json_with_its_id_and_no_log_shows_params(rig: Rig) -> None:
    good = rig.submit(secret=CANARY)
    bad = rig.submit("say", secret=CANARY)
    tried = rig.submit("retryable", times=1, secret=CANARY)
    crashed = rig.submit("crash", times=1, secret=CANARY)
    stopped = rig.submit(seconds=60, secret=CANARY)
    rig.await_state(stopped, "running")
    rig.cancel(stopped)
    for job_id in (good, bad, tried, crashed, stopped):
        rig.await_state(job_id)
    assert CANARY in rig.show(bad)["error"]["message"]
    log = rig.text_of_logs()
    assert CANARY not in log
    assert "/MainProcess]" not in log, "Celery has set up its own logging"
    events = events_by_job(log)
    assert {"job_accepted", "job_claimed", "job_succeeded"} <= set(events[good])
    assert {"job_accepted", "job_claimed", "job_error_raised", "job_failed"} <= set(events[bad])
    assert {"job_retry_scheduled", "job_succeeded"} <= set(events[tried])
    assert {"job_process_died", "job_succeeded"} <= set(events[crashed])
    assert {"job_cancel_requested", "job_stop_requested", "job_stopped"} <= set(events[stopped])


def events_by_job(log: str) -> dict[str, list[str]]:
    """Return the names of the events that are logged of each job; a line that is no JSON is Celery's banner."""
    events: dict[str, list[str]] = {}
    for line in log.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if "job_id" in entry:
                events.setdefault(entry["job_id"], []).append(entry["event"])
    return events


def test_services_show_each_worker_and_what_waits(rig: Rig) -> None:
    busy = [rig.submit(seconds=4) for _ in range(2)]
    for job_id in busy:
        rig.await_state(job_id, "running")
    waiting = rig.submit()
    rigs.until(lambda: service(rig)["workers"][0]["busy"] == 2, seconds=5, what=lambda: str(service(rig)))
    shown = service(rig)
    assert shown["status"] == "up"
    assert shown["queue_depth"] == 1
    assert shown["workers"][0]["pid"] == rig.processes[ROLE].pid
    assert shown["workers"][0]["concurrency"] == 2
    for job_id in (*busy, waiting):
        rig.await_state(job_id)


def service(rig: Rig, role: str = ROLE) -> dict[str, Any]:
    """Read what is shown of a role."""
    services = rig.client.get("/v1/services").json()["services"]
    found: dict[str, Any] = next(service for service in services if service["role"] == role)
    return found


def test_one_worker_hosts_several_roles_and_one_roles_outage_costs_no_others_lease(
    rig: Rig, request: pytest.FixtureRequest
) -> None:
    rig.start(["training,processing"])
    for role in ("training", "processing"):
        assert rig.await_state(rig.submit(role=role))["state"] == "succeeded"
        assert service(rig, role)["workers"][0]["id"].startswith("training.processing.")
    with outages.database_gone(rig, "training", request):
        job = rig.await_state(rig.submit(role="processing", seconds=6.5))
        assert (job["state"], job["attempt"]) == ("succeeded", 1)
    rigs.until(lambda: submits(rig, "training"), seconds=10, what="training to be accepted again")
    assert rig.await_state(rig.submit(role="training"))["state"] == "succeeded"
    rig.stop(["training,processing"])
    for role in ("training", "processing"):
        assert service(rig, role)["status"] == "no_workers"


def submits(rig: Rig, role: str) -> bool:
    """Return whether the API accepts a role's jobs."""
    answer = rig.client.post("/v1/jobs", json={"kind": f"{role}.ping", "params": {}})
    return answer.status_code == httpx.codes.ACCEPTED


def test_celerys_own_command_starts_a_worker(rig: Rig) -> None:
    command = [sys.executable, "-m", "celery", "-A", "workers.evaluation", "worker", "-c", "1", "-l", "INFO"]
    rig.launch_command("celery", command)
    answer = rig.client.post("/v1/jobs", json={"kind": "evaluation.ping", "params": {}})
    assert rig.await_state(answer.json()["id"], seconds=60)["state"] == "succeeded"
    rigs.until(lambda: service(rig, "evaluation")["status"] == "up", seconds=5, what="the worker to be shown")
    assert service(rig, "evaluation")["workers"][0]["concurrency"] == 1
    rig.stop(["celery"])


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_pool_whose_tasks_cant_be_killed_is_refused(rig: Rig, pool: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "workers.ingestion", "worker", "-P", pool]
    result = subprocess.run(
        command, cwd=system_under_test.CHECKOUT, env=rig.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode != 0
    assert "prefork" in result.stderr


def test_several_sweepers_do_no_harm(rig: Rig) -> None:
    more = ["sweeping", "sweeping-too"]
    for name in more:
        rig.launch_command(name, [sys.executable, "-m", "sweeper"])
    lost = [rig.submit("crash", times=1) for _ in range(3)]
    plain = [rig.submit(seconds=0.2) for _ in range(20)]
    for job_id in (*lost, *plain):
        assert rig.await_state(job_id, seconds=40)["state"] == "succeeded"
    assert {rig.row(job_id).attempt for job_id in lost} == {2}
    assert {rig.row(job_id).attempt for job_id in plain} == {1}
    effects = rig.effects()
    assert {effects[job_id] for job_id in (*lost, *plain)} == {1}
    rig.stop(more)
