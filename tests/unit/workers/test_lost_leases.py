"""What a worker does about the jobs that dead workers of its host held, on SQLite and PostgreSQL."""

import os
import sys

import pytest

from shared.jobs import owners
from shared.jobs.states import State
from tests.unit.rig import ROLE, Rig
from workers import lost_leases

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="death is proved on Linux only")


def dead_owner() -> str:
    """Name two processes that are gone: those that have this one's and its parent's ids started at another time."""
    parts = owners.name_process("ingestion.1@host").split("/")
    return "/".join([*parts[:2], f"{os.getppid()}.1", "1", parts[4]])


def release(rig: Rig) -> dict[str, State]:
    """Release what the dead held; gives where each job went."""
    return {moved.job_id: moved.state for moved in lost_leases.release(rig.engines, role=ROLE)}


def test_jobs_of_the_dead_are_queued_again_at_once_and_counted_as_lost(rig: Rig) -> None:
    held = {owner: rig.put() for owner in (dead_owner(), owners.name_process("ingestion.1@host"), "other/7")}
    for owner, job_id in held.items():
        assert rig.claim(job_id, owner=owner)
    before = {job_id: rig.row(job_id) for job_id in held.values()}
    lost, *others = held.values()
    assert release(rig) == {lost: State.QUEUED}
    row = rig.row(lost)
    assert (row.state, row.lost, row.attempt, row.lease_owner, row.lease_until) == (State.QUEUED, 1, 1, None, None)
    assert rig.ring() == [lost], "its doorbell is due"
    assert {job_id: rig.row(job_id) for job_id in others} == {job_id: before[job_id] for job_id in others}
    assert release(rig) == {}


def test_the_third_loss_is_the_last(rig: Rig) -> None:
    job_id = rig.put()
    for state in (State.QUEUED, State.QUEUED, State.DEAD):
        assert rig.claim(job_id, owner=dead_owner())
        assert release(rig) == {job_id: state}
    assert rig.row(job_id).error_type == "WorkerLostError"


def test_a_child_that_was_to_be_cancelled_wakes_its_parent(rig: Rig) -> None:
    parent = rig.put_running()
    child = rig.put(parent_id=parent)
    assert rig.claim(child, owner=dead_owner())
    rig.run(rig.offspring.rest, parent, attempt=1, wakes=0, wait_seconds=600, interim=None)
    rig.change(child, cancel_requested=1)
    assert release(rig) == {child: State.CANCELLED}
    assert rig.claim(parent)


def test_a_job_that_was_claimed_anew_meanwhile_is_left_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = rig.put()
    rig.claim(job_id, owner=dead_owner(), lease_seconds=-1)
    is_dead = owners.is_dead

    def is_dead_after_a_sweep(owner: str) -> bool:
        rig.sweep()
        assert rig.claim(job_id, owner="b")
        return is_dead(owner)

    monkeypatch.setattr(owners, "is_dead", is_dead_after_a_sweep)
    assert release(rig) == {}
    assert (rig.row(job_id).state, rig.row(job_id).attempt, rig.row(job_id).lease_owner) == (State.RUNNING, 2, "b")
    assert rig.finish(job_id, attempt=2)


def test_what_the_dead_still_wrote_and_what_is_released_exclude_each_other(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, owner=dead_owner())
    lose = rig.ledger.lose
    done, moved = rig.overlap(
        lambda connection: rig.finish_in(connection, job_id, attempt=1, state=State.SUCCEEDED),
        lambda connection: lose(connection, job_id, attempt=1),
    )
    assert (done, moved, rig.state(job_id), rig.effects(job_id)) == (True, [], State.SUCCEEDED, 1)


def test_two_workers_that_start_at_once_count_one_loss(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, owner=dead_owner())
    first, second = rig.overlap(
        lambda connection: rig.ledger.lose(connection, job_id, attempt=1),
        lambda connection: rig.ledger.lose(connection, job_id, attempt=1),
    )
    assert (len(first), len(second), rig.row(job_id).lost) == (1, 0, 1)


def test_without_proof_nothing_is_read_or_released(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = rig.put()
    rig.claim(job_id, owner=dead_owner())
    monkeypatch.setattr(owners, "place", lambda: None)
    assert release(rig) == {}
    assert rig.row(job_id).lost == 0
