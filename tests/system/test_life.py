"""A job's life on a running system: cancel, deadline, retry, loss, fence and stop, each as a client sees it."""

import json
import signal
import time

import httpx
import pytest
import sqlalchemy as sa

from shared.jobs import tables
from tests.system import acts
from tests.system import rig as rigs
from tests.system.rig import ROLE, Rig


@pytest.fixture(autouse=True)
def _whole(rig: Rig) -> None:
    """Begin each test with a worker that lives and has nothing to do."""
    rig.start()
    rigs.until(lambda: len(rig.children(ROLE)) == 2, seconds=20, what="a whole pool")


def test_a_job_is_done_once_and_its_effect_is_there_with_its_end(rig: Rig) -> None:
    job = rig.await_state(rig.submit())
    assert (job["state"], job["attempt"], job["result"]) == ("succeeded", 1, {"attempt": 1})
    assert rig.effects()[job["id"]] == 1


def test_a_job_that_holds_the_interpreters_lock_for_longer_than_its_lease_keeps_it(rig: Rig) -> None:
    job = rig.await_state(rig.submit("hold_lock", seconds=6.5))
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert rig.row(job["id"]).lost == 0
    assert rig.effects()[job["id"]] == 1


def test_a_queued_job_is_cancelled_at_once(rig: Rig) -> None:
    busy = [rig.submit(seconds=3) for _ in range(2)]
    for job_id in busy:
        rig.await_state(job_id, "running")
    waiting = rig.submit()
    rig.cancel(waiting)
    assert rig.show(waiting)["state"] == "cancelled"
    for job_id in busy:
        rig.await_state(job_id, "succeeded")
    assert waiting not in rig.effects()


def test_a_running_job_is_cancelled_within_seconds(rig: Rig) -> None:
    job_id = rig.submit(seconds=60)
    rig.await_state(job_id, "running")
    rig.cancel(job_id)
    job = rig.await_state(job_id, seconds=5)
    assert (job["state"], job["error"]["type"]) == ("cancelled", "JobCancelledError")
    assert job_id not in rig.effects()


def test_a_job_that_ignores_being_stopped_is_killed_and_cancelled(rig: Rig) -> None:
    job_id = rig.submit("ignore_stop", seconds=60)
    rig.await_state(job_id, "running")
    child = rig.working_child(job_id)
    rig.cancel(job_id)
    job = rig.await_state(job_id, seconds=8)
    assert (job["state"], job["attempt"]) == ("cancelled", 1)
    rigs.until(lambda: not child.is_running(), seconds=5, what="the process to be dead")
    assert rig.await_state(rig.submit())["state"] == "succeeded"


def test_a_queued_job_whose_deadline_passes_fails(rig: Rig) -> None:
    busy = [rig.submit(seconds=4) for _ in range(2)]
    for job_id in busy:
        rig.await_state(job_id, "running")
    late = rig.await_state(rig.submit(order={"deadline_seconds": 1}), seconds=10)
    assert (late["state"], late["attempt"], late["error"]["type"]) == ("failed", 0, "DeadlineExceededError")
    for job_id in busy:
        rig.await_state(job_id, "succeeded")


def test_a_running_job_whose_deadline_passes_is_stopped_and_fails(rig: Rig) -> None:
    job = rig.await_state(rig.submit(seconds=60, order={"deadline_seconds": 2}), seconds=10)
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("failed", 1, "DeadlineExceededError")


@pytest.mark.parametrize("fault", ["retryable", "connection"])
def test_a_passing_fault_is_tried_again(rig: Rig, fault: acts.How) -> None:
    job = rig.await_state(rig.submit(fault, times=2))
    assert (job["state"], job["attempt"]) == ("succeeded", 3)
    assert rig.row(job["id"]).tries_left == 1
    assert rig.effects()[job["id"]] == 1


def test_what_a_job_says_is_read_while_it_runs_and_after_it_was_tried_again(rig: Rig) -> None:
    job_id = rig.submit("tell", times=1, seconds=4, secret="hush-hush")
    said = ["job_started", "act_began", "it looks bad", "UserWarning: it is bad"]
    rigs.until(lambda: len(rig.read_log(job_id)["lines"]) == len(said), seconds=10, what="the first lines")
    running = rig.read_log(job_id)
    assert ([line["message"] for line in running["lines"]], running["complete"]) == (said, False)
    assert rig.row(job_id).state == "running"
    job = rig.await_state(job_id, "succeeded")
    rest = rig.read_log(job_id, after=running["next"])
    assert [(line["attempt"], line["message"]) for line in rest["lines"]] == [
        (1, "job_retry_scheduled"),
        (2, "job_started"),
        (2, "job_succeeded"),
    ]
    assert rest["complete"] is True
    assert rest["lines"][-1]["at"] == job["finished_at"]
    assert "hush-hush" not in str(rig.read_log(job_id))
    logged = [json.loads(line) for line in rig.text_of_log(ROLE).splitlines() if job_id in line]
    claimed = [line["correlation_id"] for line in logged if line["event"] == "job_claimed"]
    assert claimed == [rig.row(job_id).correlation_id or job_id] * 2


def test_a_fault_that_does_not_pass_fails_the_job_when_its_tries_are_used_up(rig: Rig) -> None:
    job = rig.await_state(rig.submit("retryable"))
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("failed", 3, "RetryableError")
    assert job["id"] not in rig.effects()


@pytest.mark.parametrize(("how", "fault"), [("wrong", "BadDataError"), ("exit", "SystemExit"), ("say", "ValueError")])
def test_any_other_fault_fails_the_job_at_once(rig: Rig, how: acts.How, fault: str) -> None:
    job = rig.await_state(rig.submit(how))
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("failed", 1, fault)


def test_a_job_that_kills_its_worker_three_times_is_dead_and_can_be_retried_by_hand(rig: Rig) -> None:
    job = rig.await_state(rig.submit("crash", times=3))
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("dead", 3, "WorkerLostError")
    lines = [(line["attempt"], line["message"]) for line in rig.read_log(job["id"])["lines"]]
    assert [line for line in lines if line[1] == "job_worker_lost"] == [(n, "job_worker_lost") for n in (1, 2, 3)]
    assert lines[-1] == (3, "job_dead")
    answer = rig.client.post(f"/v1/jobs/{job['id']}/retry")
    assert answer.status_code == httpx.codes.ACCEPTED
    rig.cancel(answer.json()["id"])


def test_a_job_whose_process_is_killed_is_done_by_another(rig: Rig) -> None:
    job_id = rig.submit(seconds=2)
    rig.await_state(job_id, "running")
    rigs.kill_9([rig.working_child(job_id)])
    job = rig.await_state(job_id)
    assert (job["state"], job["attempt"], rig.row(job_id).lost) == ("succeeded", 2, 1)
    assert rig.effects()[job_id] == 1


def test_a_stopped_process_loses_its_job_to_another_and_writes_nothing_when_it_wakes(rig: Rig) -> None:
    job_id = rig.submit(seconds=3)
    rig.await_state(job_id, "running")
    stopped = rig.working_child(job_id)
    stopped.suspend()
    try:
        rigs.until(lambda: rig.row(job_id).attempt == 2, seconds=20, what="a second attempt")
    finally:
        if stopped.is_running():
            stopped.resume()
    assert rig.await_state(job_id)["state"] == "succeeded"
    assert rig.effects()[job_id] == 1


def test_a_process_whose_keeper_is_stopped_stops_its_own_job(rig: Rig) -> None:
    job_id = rig.submit(seconds=60)
    rig.await_state(job_id, "running")
    rig.signal(ROLE, signal.SIGSTOP)
    try:
        rigs.until(lambda: rig.row(job_id).state == "queued", seconds=8, what="the job to be handed back")
        assert rig.row(job_id).lost == 0
    finally:
        rig.signal(ROLE, signal.SIGCONT)
    rig.await_state(job_id, "running")
    rig.cancel(job_id)
    rig.await_state(job_id, "cancelled")


def test_a_workers_processes_end_with_it_and_its_job_is_done_by_another(rig: Rig) -> None:
    rig.start([f"{ROLE}#2"])
    rig.signal(f"{ROLE}#2", signal.SIGSTOP)
    try:
        job_id = rig.submit(seconds=3)
        rig.await_state(job_id, "running")
        child = rig.working_child(job_id)
        rig.kill_parent(ROLE)
    finally:
        rig.signal(f"{ROLE}#2", signal.SIGCONT)
    rigs.until(lambda: not child.is_running(), seconds=5, what="the child to end")
    job = rig.await_state(job_id)
    assert (job["state"], rig.row(job_id).lost) == ("succeeded", 1)
    assert rig.effects()[job_id] == 1
    rig.stop([f"{ROLE}#2"])


def children_of(rig: Rig, parent: str) -> list[str]:
    with rig.databases[ROLE].statements.connect() as connection:
        found = sa.select(tables.jobs.c.id).where(tables.jobs.c.parent_id == parent)
        return list(connection.execute(found).scalars())


def test_a_parent_holds_no_worker_while_its_children_work_and_ends_after_them(rig: Rig) -> None:
    parents = [rig.submit(children=3, seconds=0.2) for _ in range(3)]
    for parent in parents:
        job = rig.await_state(parent)
        assert (job["state"], job["attempt"]) == ("succeeded", 1)
        made = children_of(rig, parent)
        assert [rig.show(child)["state"] for child in made] == ["succeeded"] * 3
        assert [rig.effects()[one] for one in (parent, *made)] == [1, 1, 1, 1]


def test_a_child_whose_process_is_killed_is_done_by_another_and_its_parent_goes_on(rig: Rig) -> None:
    parent = rig.submit(children=3, seconds=2)
    rigs.until(lambda: any(rig.row(c).state == "running" for c in children_of(rig, parent)), seconds=10, what="a child")
    running = next(child for child in children_of(rig, parent) if rig.row(child).state == "running")
    rigs.kill_9([rig.working_child(running)])
    assert rig.await_state(parent)["state"] == "succeeded"
    assert rig.row(running).lost == 1
    assert [rig.effects()[child] for child in children_of(rig, parent)] == [1, 1, 1]


def test_cancelling_a_parent_cancels_its_children(rig: Rig) -> None:
    parent = rig.submit(children=5, seconds=60)
    rigs.until(lambda: any(rig.row(c).state == "running" for c in children_of(rig, parent)), seconds=10, what="a child")
    assert rig.show(parent)["state"] == "running"
    rig.cancel(parent)
    assert rig.await_state(parent, seconds=5)["state"] == "cancelled"
    assert {rig.await_state(child, seconds=10)["state"] for child in children_of(rig, parent)} == {"cancelled"}


def test_the_children_of_a_parent_whose_deadline_passes_are_cancelled(rig: Rig) -> None:
    parent = rig.submit(children=5, seconds=60, order={"deadline_seconds": 2})
    assert rig.await_state(parent, seconds=10)["error"]["type"] == "DeadlineExceededError"
    assert {rig.await_state(child, seconds=10)["state"] for child in children_of(rig, parent)} == {"cancelled"}


def test_a_worker_that_is_told_to_stop_ends_short_jobs_and_hands_back_long_ones(rig: Rig) -> None:
    short, long = rig.submit(seconds=1.5), rig.submit(seconds=60)
    for job_id in (short, long):
        rig.await_state(job_id, "running")
    began = time.monotonic()
    rig.stop([ROLE], timeout_seconds=20)
    assert time.monotonic() - began < 12
    assert rig.show(short)["state"] == "succeeded"
    row = rig.row(long)
    assert (row.state, row.lost, row.attempt) == ("queued", 0, 1)
    rig.cancel(long)
