"""Jobs that are done together are claimed, beaten for and ended together, on both databases."""

from shared.jobs import ledger
from shared.jobs.states import State
from tests.unit.rig import Rig
from tests.unit.shared.jobs import gathering_checks as checks


def test_what_waits_and_is_alike_is_claimed_in_the_order_of_the_queue(rig: Rig) -> None:
    first = checks.claim_first(rig)
    plain, urgent = checks.put(rig), checks.put(rig, priority=5)
    claims = rig.gather(first, checks.GATHERING)
    assert [claim.job_id for claim in claims] == [urgent, plain]
    assert [(claim.attempt, claim.lost, claim.pinned) for claim in claims] == [(1, 0, checks.PINNED)] * 2


def test_each_job_ends_by_itself(rig: Rig) -> None:
    checks.ends_each_by_itself(rig)
    assert rig.run(rig.ledger.finish_all, []) == set()


def test_two_workers_gather_nothing_twice(rig: Rig) -> None:
    checks.two_workers_gather_nothing_twice(rig)


def test_a_beat_for_all_says_what_any_of_them_needs(rig: Rig) -> None:
    jobs = [rig.put_running() for _ in range(3)]
    held = [ledger.Held(job_id, 1) for job_id in jobs]
    fine = ledger.Beat(cancel_requested=False, expired=False)
    assert rig.run(rig.ledger.beat_all, held, lease_seconds=600) == fine
    assert rig.run(rig.ledger.peek_all, held) == fine
    before = [rig.row(job_id).lease_until for job_id in jobs]
    rig.run(rig.ledger.beat_all, held, lease_seconds=6000)
    assert all(rig.row(job_id).lease_until > until for job_id, until in zip(jobs, before, strict=True))
    rig.change(jobs[1], cancel_requested=1)
    assert rig.run(rig.ledger.peek_all, held) == ledger.Beat(cancel_requested=True, expired=False)
    rig.change(jobs[2], state=State.QUEUED)
    assert rig.run(rig.ledger.beat_all, held, lease_seconds=600) is None
    assert rig.run(rig.ledger.peek_all, held) is None
