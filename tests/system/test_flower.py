"""What operators do in Flower, and by Celery's remote control, works or isn't offered."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.queues import celery_app
from tests.system import rig as rigs
from tests.system.flower import flower, tasks_shown, workers_shown
from tests.system.rig import ROLE, Rig

REFUSED: dict[str, dict[str, Any]] = {
    "rate_limit": {"task_name": f"{ROLE}.act", "rate_limit": "1/h"},
    "time_limit": {"task_name": f"{ROLE}.act", "soft": 1, "hard": 1},
    "pool_grow": {"n": 1},
    "pool_shrink": {"n": 1},
    "pool_restart": {},
    "autoscale": {"max": 4, "min": 1},
    "add_consumer": {"queue": "training"},
    "cancel_consumer": {"queue": ROLE},
    "revoke_by_stamped_headers": {"headers": {"stamp": "x"}},
}


@pytest.fixture(scope="module")
def client(rig: Rig) -> Iterator[httpx.Client]:
    """Yield a client of Flower."""
    with flower(rig) as made:
        rigs.until(lambda: bool(workers_shown(made)), seconds=30, what="Flower to know a worker")
        yield made


def revoke(client: httpx.Client, job_id: str, *, terminate: bool) -> None:
    answer = client.post(f"/api/task/revoke/{job_id}", params={"terminate": "true"} if terminate else {})
    assert answer.status_code == httpx.codes.OK, answer.text


def command(rig: Rig, name: str, **arguments: Any) -> dict[str, Any]:
    """Send a remote-control command to all workers, and return the only one's answer."""
    app = celery_app.create_celery([ROLE], config=rig.config)
    [answer] = app.control.broadcast(name, arguments=arguments, reply=True, timeout=5, limit=1)
    [said] = answer.values()
    return dict(said)


def test_terminating_a_running_job_cancels_it_and_its_worker_goes_on(rig: Rig, client: httpx.Client) -> None:
    job_id = rig.submit(seconds=60)
    rig.await_state(job_id, "running")
    rigs.until(
        lambda: tasks_shown(client).get(job_id, {}).get("state") == "STARTED", seconds=20, what="Flower to show it"
    )
    page = client.get(f"/task/{job_id}").text
    assert "task-terminate" in page
    revoke(client, job_id, terminate=True)
    assert rig.await_state(job_id, seconds=15)["state"] == "cancelled"
    # A stray doorbell of the same id is answered, and does nothing.
    rig.ring(job_id)
    assert rig.await_state(rig.submit())["state"] == "succeeded"
    assert job_id not in rig.effects()


def test_a_job_that_is_deaf_and_one_that_no_message_started_are_cancelled_too(rig: Rig, client: httpx.Client) -> None:
    job_ids = [rig.submit("ignore_stop", seconds=60), rig.submit("hold_lock", seconds=12)]
    later = [rig.submit(seconds=60) for _ in range(2)]
    for job_id in (*job_ids, *later):
        rig.await_state(job_id, "running", seconds=40)
        revoke(client, job_id, terminate=True)
        assert rig.await_state(job_id, seconds=30)["state"] == "cancelled"
    assert rig.await_state(rig.submit(), seconds=40)["state"] == "succeeded"


def test_revoking_a_job_that_waits_cancels_it(rig: Rig, client: httpx.Client) -> None:
    running = [rig.submit(seconds=60) for _ in range(2)]
    for job_id in running:
        rig.await_state(job_id, "running", seconds=40)
    waiting = rig.submit()
    revoke(client, waiting, terminate=False)
    assert rig.await_state(waiting, seconds=15)["state"] == "cancelled"
    for job_id in running:
        rig.cancel(job_id)
        rig.await_state(job_id)


def test_terminating_a_job_with_children_cancels_them_as_well(rig: Rig, client: httpx.Client) -> None:
    parent = rig.submit(children=2, seconds=60)
    children = await_children(rig, parent)
    revoke(client, parent, terminate=True)
    for job_id in (parent, *children):
        assert rig.await_state(job_id, seconds=30)["state"] == "cancelled"


def await_children(rig: Rig, parent: str) -> list[str]:
    """Wait until a job has submitted its children, and return their ids."""
    found: list[str] = []

    def look() -> bool:
        found[:] = rig.children_of(parent)
        return len(found) == 2

    rigs.until(look, seconds=30, what="the children")
    return found


def test_a_failed_job_tells_why(rig: Rig, client: httpx.Client) -> None:
    # Some are found by a process that is awake, and shown by the keeper; the others have a message of their own.
    job_ids = [rig.submit("wrong", secret="hunter2") for _ in range(8)]
    unspoken = rig.submit("say", secret="hunter2")
    for job_id in (*job_ids, unspoken):
        rig.await_state(job_id)

    def reasons() -> dict[str, str]:
        tasks = tasks_shown(client)
        return {job_id: str(tasks.get(job_id, {}).get("exception")) for job_id in (*job_ids, unspoken)}

    rigs.until(lambda: all(reason != "None" for reason in reasons().values()), seconds=20, what=lambda: str(reasons()))
    found = reasons()
    assert "ValueError" in found.pop(unspoken)
    assert all("BadDataError: never" in found[job_id] for job_id in job_ids)
    assert "hunter2" not in str(found)


def test_ids_that_are_no_jobs_harm_nobody(rig: Rig, client: httpx.Client) -> None:
    ended = rig.submit()
    assert rig.await_state(ended)["state"] == "succeeded"
    for name in (ended, f"{ROLE}_01M00000000000000000000000", "training_01M00000000000000000000000", "nothing"):
        revoke(client, name, terminate=True)
    assert rig.await_state(rig.submit())["state"] == "succeeded"
    assert rig.show(ended)["state"] == "succeeded"
    assert command(rig, "revoke", task_id=["nothing"]) == {"ok": "to be cancelled: none"}


def test_flower_offers_nothing_else(rig: Rig, client: httpx.Client) -> None:
    [worker] = workers_shown(client)
    page = client.get(f"/worker/{worker}").text
    assert "worker-shutdown" not in page
    assert "worker-pool-grow" not in page
    for path in (
        f"worker/shutdown/{worker}",
        f"worker/pool/grow/{worker}",
        f"worker/pool/shrink/{worker}",
        f"worker/pool/restart/{worker}",
        f"worker/pool/autoscale/{worker}?min=1&max=2",
        f"worker/queue/add-consumer/{worker}?queue=training",
        f"worker/queue/cancel-consumer/{worker}?queue={ROLE}",
        f"task/rate-limit/{ROLE}.act?workername={worker}&ratelimit=1/h",
        f"task/timeout/{ROLE}.act?workername={worker}&hard=1",
        f"task/send-task/{ROLE}.act",
        f"task/async-apply/{ROLE}.act",
        f"task/apply/{ROLE}.act",
    ):
        assert client.post(f"/api/{path}").status_code == httpx.codes.FORBIDDEN, path
    assert rig.alive(ROLE)


@pytest.mark.parametrize("name", REFUSED)
def test_a_worker_refuses_commands_that_its_jobs_know_nothing_of(rig: Rig, name: str) -> None:
    said = command(rig, name, **REFUSED[name])
    assert said["error"].startswith(f"Millrace's workers don't take {name}: ")
    assert rig.await_state(rig.submit())["state"] == "succeeded"


def test_a_worker_that_is_told_to_shut_down_hands_its_jobs_back_as_after_term(rig: Rig) -> None:
    job_id = rig.submit(seconds=60)
    rig.await_state(job_id, "running")
    celery_app.create_celery([ROLE], config=rig.config).control.shutdown()
    rigs.until(lambda: not rig.alive(ROLE), seconds=30, what="the worker to end")
    assert rig.row(job_id).state == "queued"
    rig.cancel(job_id)
    rig.start([ROLE])
