"""The ledger with two transactions at once: the second begins while the first is not committed."""

import functools

import sqlalchemy as sa

from shared.catalog import datasets, versions
from shared.jobs import ledger, outbox
from shared.jobs.states import State
from tests.unit.rig import PAST, TENANT, Act, Rig, new_job


def claim(job_id: str, *, owner: str) -> Act:
    """Make a claim to be done later."""
    return functools.partial(ledger.claim, job_id=job_id, owner=owner, lease_seconds=60, max_run_seconds=60)


def cancel(job_id: str) -> Act:
    """Make a cancellation to be done later."""
    return functools.partial(ledger.cancel, job_id=job_id, tenant_id=TENANT)


def beat(job_id: str) -> Act:
    """Make a beat of the first attempt to be done later."""
    return functools.partial(ledger.beat, job_id=job_id, attempt=1, lease_seconds=60)


def ring(connection: sa.Connection) -> list[str]:
    """Take up to three doorbells."""
    return [bell.job_id for bell in ledger.take_due_doorbells(connection, again_seconds=30, limit=3)]


def test_of_two_claims_one_holds(rig: Rig) -> None:
    job_id = rig.put()
    first, second = rig.overlap(claim(job_id, owner="a"), claim(job_id, owner="b"))
    assert first.attempt == 1
    assert second is None
    assert rig.row(job_id).lease_owner == "a"


def test_a_claim_that_is_rolled_back_leaves_the_job_to_the_other(rig: Rig) -> None:
    job_id = rig.put()
    _, second = rig.overlap(claim(job_id, owner="a"), claim(job_id, owner="b"), commit=False)
    assert second.attempt == 1
    assert rig.row(job_id).lease_owner == "b"


def test_a_claim_during_a_cancellation_finds_nothing(rig: Rig) -> None:
    job_id = rig.put()
    _, claimed = rig.overlap(cancel(job_id), claim(job_id, owner="a"))
    assert claimed is None
    assert rig.state(job_id) == State.CANCELLED


def test_a_cancellation_during_a_claim_flags_the_running_job(rig: Rig) -> None:
    job_id = rig.put()
    _, cancelled = rig.overlap(claim(job_id, owner="a"), cancel(job_id))
    assert cancelled.state == State.RUNNING
    assert rig.row(job_id).cancel_requested == 1


def test_a_cancellation_during_an_end_comes_too_late(rig: Rig) -> None:
    job_id = rig.put_running()
    end = functools.partial(rig.finish_in, job_id=job_id, attempt=1, state=State.SUCCEEDED)
    finished, cancelled = rig.overlap(end, cancel(job_id))
    assert finished
    assert cancelled is None
    assert rig.effects(job_id) == 1


def test_an_end_during_a_cancellation_stands(rig: Rig) -> None:
    job_id = rig.put_running()
    end = functools.partial(rig.finish_in, job_id=job_id, attempt=1, state=State.SUCCEEDED)
    cancelled, finished = rig.overlap(cancel(job_id), end)
    assert cancelled.state == State.RUNNING
    assert finished
    assert rig.state(job_id) == State.SUCCEEDED


def test_an_end_during_a_sweep_is_refused_with_its_rows(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.lose(job_id)
    end = functools.partial(rig.finish_in, job_id=job_id, attempt=1, state=State.SUCCEEDED)
    swept, finished = rig.overlap(ledger.sweep, end)
    assert len(swept) == 1
    assert not finished
    assert rig.effects(job_id) == 0
    assert rig.state(job_id) == State.QUEUED


def test_a_sweep_during_an_end_moves_nothing(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.lose(job_id)
    end = functools.partial(rig.finish_in, job_id=job_id, attempt=1, state=State.SUCCEEDED)
    finished, swept = rig.overlap(end, ledger.sweep)
    assert finished
    assert swept == []
    assert rig.state(job_id) == State.SUCCEEDED


def test_of_two_sweepers_one_moves_a_job_and_counts_one_loss(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.lose(job_id)
    first, second = rig.overlap(ledger.sweep, ledger.sweep)
    assert [moved.job_id for moved in first] == [job_id]
    assert second == []
    assert rig.row(job_id).lost == 1


def test_a_sweep_during_a_late_beat_leaves_the_job_alone(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.lose(job_id)
    seen, swept = rig.overlap(beat(job_id), ledger.sweep)
    assert seen == ledger.Beat(False, False)
    assert swept == []
    assert rig.state(job_id) == State.RUNNING


def test_a_beat_during_a_sweep_learns_that_the_job_is_lost(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.lose(job_id)
    _, seen = rig.overlap(ledger.sweep, beat(job_id))
    assert seen is None


def test_of_two_overdue_sweeps_one_fails_the_job(rig: Rig) -> None:
    job_id = rig.put(deadline_seconds=60)
    rig.change(job_id, deadline_at=PAST)
    first, second = rig.overlap(ledger.sweep_overdue, ledger.sweep_overdue)
    assert (len(first), len(second)) == (1, 0)


def test_of_two_ringers_each_rings_other_doorbells(rig: Rig) -> None:
    jobs = [rig.put() for _ in range(5)]
    for job_id in jobs:
        rig.change(job_id, ring_after=PAST)
    first, second = rig.overlap(ring, ring)
    assert len(first) == 3
    assert sorted(first + second) == sorted(jobs)


def test_a_ringer_passes_over_a_job_that_is_being_claimed(rig: Rig) -> None:
    job_id = rig.put()
    rig.change(job_id, ring_after=PAST)
    _, rung = rig.overlap(claim(job_id, owner="a"), ring)
    assert rung == []


def test_of_two_accepts_under_one_key_one_is_taken(rig: Rig) -> None:
    jobs = [new_job(idempotency_key="k") for _ in range(2)]
    accepts = [functools.partial(ledger.accept, new_jobs=[job], ring_again_seconds=30) for job in jobs]
    first, second = rig.overlap(*accepts)
    assert (list(first), list(second)) == ([jobs[0].id], [])


def test_an_accept_under_the_key_of_one_that_is_rolled_back_is_taken(rig: Rig) -> None:
    jobs = [new_job(idempotency_key="k") for _ in range(2)]
    accepts = [functools.partial(ledger.accept, new_jobs=[job], ring_again_seconds=30) for job in jobs]
    _, second = rig.overlap(accepts[0], accepts[1], commit=False)
    assert list(second) == [jobs[1].id]


def test_batches_write_their_keys_in_one_order_so_that_they_cannot_lock_each_other_out(rig: Rig) -> None:
    jobs = [new_job(idempotency_key=key) for key in "cab"]
    place: sa.ColumnElement[str] = sa.literal_column("ctid" if rig.dialect == "postgresql" else "rowid")
    rig.run(ledger.accept, jobs, ring_again_seconds=30)
    with rig.engines.statements.connect() as connection:
        written = connection.execute(sa.select(ledger.jobs.c.idempotency_key).order_by(place)).scalars().all()
    assert written == ["a", "b", "c"]


def test_of_two_deliveries_of_a_message_one_has_an_effect(rig: Rig) -> None:
    receive = functools.partial(outbox.receive, message_id="m", tenant_id=TENANT)
    assert rig.overlap(receive, receive) == (True, False)


def test_a_delivery_is_repeated_when_the_first_one_rolls_back(rig: Rig) -> None:
    receive = functools.partial(outbox.receive, message_id="m", tenant_id=TENANT)
    assert rig.overlap(receive, receive, commit=False) == (True, True)


def test_two_jobs_that_make_a_version_at_once_make_two_without_a_gap(rig: Rig) -> None:
    take = functools.partial(versions.take_next, heads=datasets.HEADS, tenant_id=TENANT, name="telco")
    assert rig.overlap(take, take) == (1, 2)
    assert rig.overlap(take, take) == (3, 4)


def test_a_version_that_is_rolled_back_leaves_no_gap(rig: Rig) -> None:
    take = functools.partial(versions.take_next, heads=datasets.HEADS, tenant_id=TENANT, name="telco")
    assert rig.overlap(take, take, commit=False) == (1, 1)
    assert rig.overlap(take, take, commit=False) == (2, 2)
    assert rig.run(take) == 3
