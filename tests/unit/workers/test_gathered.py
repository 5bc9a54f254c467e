"""A worker does jobs together that are alike, and each ends as if it had been done by itself."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from shared import contract, errors, ping
from shared.jobs.states import State
from shared.objects import store
from tests.unit.rig import ROLE, Rig
from tests.unit.workers.turns import PING
from workers import attempt
from workers.guard import Guard, Unguarded
from workers.job import GatheredBody, Job
from workers.turn import Turn

pytestmark = pytest.mark.usefixtures("process")

GATHERING = contract.Gathering(alike="group", size="rows", max_jobs=4, max_size=100)
KIND = contract.Kind(PING.name, PING.command, PING.result, PING.description, gathers=GATHERING)


def put(rig: Rig, *, group: str = "churn@7", **changes: Any) -> str:
    return rig.put(**{"kind": KIND.name, "params": {}, "pinned": {"group": group, "rows": 1}, **changes})


class Calls:
    """A body that notes which jobs it was called for, and fails for some."""

    def __init__(self, failures: dict[str, BaseException] | None = None) -> None:
        self.calls: list[list[str]] = []
        self._failures = failures or {}

    def __call__(self, jobs: Sequence[Job], _commands: Sequence[Any]) -> Sequence[contract.Result]:
        self.calls.append([job.id for job in jobs])
        for job in jobs:
            if job.id in self._failures:
                raise self._failures[job.id]
        return [ping.Pong(attempt=job.attempt) for job in jobs]


def work(body: GatheredBody, job_id: str, *, guard: Guard | Unguarded | None = None) -> str | None:
    watch = guard or Unguarded(turn_seconds=60)
    return Turn(ROLE, {KIND.name: (KIND, body)}, owner="test", guard=watch).work(job_id)


def states(rig: Rig, *job_ids: str) -> list[State]:
    return [rig.state(job_id) for job_id in job_ids]


def test_what_waits_is_done_in_as_few_calls_as_may_be(rig: Rig) -> None:
    jobs, other = [put(rig) for _ in range(6)], put(rig, group="churn@8")
    body = Calls()
    assert work(body, jobs[0]) is None
    assert body.calls == [jobs[:4], jobs[4:], [other]]
    assert states(rig, *jobs, other) == [State.SUCCEEDED] * 7
    assert [rig.row(job_id).result for job_id in jobs] == [{"attempt": 1}] * 6


def test_a_job_that_fails_leaves_those_alone_that_were_done_with_it(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(3)]
    body = Calls({jobs[1]: errors.BadDataError("row 1 is no row")})
    assert work(body, jobs[0]) is None
    assert body.calls == [jobs, *([job_id] for job_id in jobs)]
    assert states(rig, *jobs) == [State.SUCCEEDED, State.FAILED, State.SUCCEEDED]
    row = rig.row(jobs[1])
    assert (row.error_type, row.error_message, row.result) == ("BadDataError", "row 1 is no row", None)


def test_the_named_job_tells_why_it_failed(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(2)]
    assert work(Calls({jobs[0]: errors.BadDataError("no")}), jobs[0]) == "BadDataError: no"


def test_what_each_would_meet_is_met_once_and_tried_again(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(3)]
    body = Calls({jobs[2]: store.StoreDownError("the store is away")})
    assert work(body, jobs[0]) is not None
    assert body.calls == [jobs]
    assert states(rig, *jobs) == [State.QUEUED] * 3
    assert all(rig.row(job_id).run_after > rig.row(job_id).created_at for job_id in jobs)


def test_parameters_of_another_release_fail_their_job_alone(rig: Rig) -> None:
    sound, odd = put(rig), put(rig, params={"novelty": 1})
    assert work(Calls(), sound) is None
    assert states(rig, sound, odd) == [State.SUCCEEDED, State.FAILED]


def test_a_job_that_was_taken_away_meanwhile_gets_no_end_and_the_others_do(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(3)]

    def body(given: Sequence[Job], _commands: Sequence[Any]) -> Sequence[contract.Result]:
        rig.lose(jobs[1])
        rig.sweep()
        assert rig.claim(jobs[1], owner="another")
        return [ping.Pong(attempt=job.attempt) for job in given]

    assert work(body, jobs[0]) is None
    assert states(rig, *jobs) == [State.SUCCEEDED, State.RUNNING, State.SUCCEEDED]
    assert (rig.row(jobs[1]).attempt, rig.row(jobs[1]).result) == (2, None)


def test_a_stop_hands_all_of_them_back(rig: Rig, guard: Guard) -> None:
    jobs = [put(rig) for _ in range(3)]

    def body(_jobs: Sequence[Job], _commands: Sequence[Any]) -> Sequence[contract.Result]:
        rig.change(jobs[2], cancel_requested=1)
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    assert work(body, jobs[0], guard=guard) == "Stopped"
    assert states(rig, *jobs) == [State.QUEUED, State.QUEUED, State.CANCELLED]
    assert [rig.row(job_id).lost for job_id in jobs] == [0, 0, 0]


def test_a_job_with_which_a_worker_was_lost_is_done_by_itself(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(4)]
    for lost in jobs[1:3]:
        rig.change(lost, lost=1)
    body = Calls()
    work(body, jobs[0])
    assert body.calls == [[jobs[0], jobs[3]], [jobs[1]], [jobs[2]]]


def test_a_child_wakes_its_parent(rig: Rig) -> None:
    parent = rig.put_running()
    child = put(rig, parent_id=parent)
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    assert work(Calls(), child) is None
    assert rig.state(child) == State.SUCCEEDED
    assert rig.claim(parent)


def test_a_wrong_number_of_results_is_nobodys_success(rig: Rig) -> None:
    jobs = [put(rig) for _ in range(2)]
    assert work(lambda _jobs, _commands: [], jobs[0]) is not None
    assert states(rig, *jobs) == [State.FAILED, State.FAILED]


def test_errors_that_may_pass_are_those_of_other_jobs(rig: Rig) -> None:
    assert errors.RetryableError in attempt.TRANSIENT
    job_id = put(rig)
    work(Calls({job_id: errors.RetryableError("again")}), job_id, guard=Unguarded())
    assert (rig.state(job_id), rig.row(job_id).tries_left) == (State.QUEUED, 2)
