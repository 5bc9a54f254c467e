"""The ledger by scripted interleavings: what each call does, and what it refuses."""

import pytest

from shared.jobs import ledger, outbox
from shared.jobs.states import MAX_LOST, State
from tests.unit.rig import FUTURE, KIND, PAST, TENANT, Rig

AGAIN = ("ConnectionError", "The source did not answer.")


def test_a_worker_stopped_past_its_lease_cannot_finish_after_another_has(rig: Rig) -> None:
    job_id = rig.put()
    first = rig.claim(job_id, owner="a", lease_seconds=-1)
    assert rig.sweep() == {job_id: State.QUEUED}
    second = rig.claim(job_id, owner="b")
    assert first is not None
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    assert rig.finish(job_id, attempt=2)
    assert not rig.finish(job_id, attempt=1)
    assert rig.effects(job_id) == 1
    assert rig.row(job_id).result == {"by": 2}


def test_a_worker_stopped_past_its_lease_cannot_finish_while_another_works(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, lease_seconds=-1)
    rig.sweep()
    rig.claim(job_id)
    assert not rig.finish(job_id, attempt=1)
    assert rig.effects(job_id) == 0
    assert rig.state(job_id) == State.RUNNING
    assert rig.finish(job_id, attempt=2)


def test_a_late_worker_that_nobody_missed_yet_may_still_finish(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, lease_seconds=-1)
    assert rig.finish(job_id, attempt=1)
    assert rig.sweep() == {}
    assert rig.state(job_id) == State.SUCCEEDED


def test_a_late_beat_that_nobody_missed_yet_keeps_the_job(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, lease_seconds=-1)
    assert rig.run(ledger.beat, job_id, attempt=1, lease_seconds=60) == ledger.Beat(False, False)
    assert rig.sweep() == {}


def test_a_fenced_end_leaves_neither_rows_nor_events(rig: Rig) -> None:
    job_id = rig.put_running()
    assert not rig.finish(job_id, attempt=7)
    assert rig.effects(job_id) == 0
    assert rig.run(outbox.read, limit=10) == []


def test_an_end_and_its_rows_and_its_events_come_together(rig: Rig) -> None:
    job_id = rig.put_running()
    assert rig.finish(job_id, attempt=1)
    assert rig.effects(job_id) == 1
    assert [event.type for event in rig.run(outbox.read, limit=10)] == ["dataset.created"]
    row = rig.row(job_id)
    assert (row.state, row.lease_owner, row.lease_until) == (State.SUCCEEDED, None, None)
    assert row.created_at <= row.started_at <= row.finished_at


def test_a_claim_gives_what_the_worker_needs(rig: Rig) -> None:
    job_id = rig.put(pinned={"dataset": {"version": 3}}, traceparent="00-1-2-01")
    claim = rig.claim(job_id, owner="a", lease_seconds=60)
    assert claim == ledger.Claim(
        job_id, TENANT, KIND, 1, 3, {"name": "telco"}, {"dataset": {"version": 3}}, "key_1", "00-1-2-01"
    )
    row = rig.row(job_id)
    assert (row.state, row.lease_owner) == (State.RUNNING, "a")
    assert abs(row.lease_until - row.started_at - 60_000) < 1000


def test_a_job_is_claimed_once_though_its_doorbell_rings_twice(rig: Rig) -> None:
    job_id = rig.put()
    assert rig.claim(job_id, owner="a")
    assert rig.claim(job_id, owner="b") is None
    assert rig.row(job_id).lease_owner == "a"


def test_a_doorbell_of_a_job_that_is_not_there_is_harmless(rig: Rig) -> None:
    assert rig.claim("ingestion_00000000000000000000000000") is None


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.DEAD])
def test_nothing_moves_a_job_that_has_ended(rig: Rig, end: State) -> None:
    job_id = rig.put_running(deadline_seconds=60)
    rig.change(job_id, state=end, lease_until=PAST, ring_after=PAST, deadline_at=PAST, stop_at=PAST)
    before = rig.row(job_id)
    assert rig.claim(job_id) is None
    assert rig.run(ledger.beat, job_id, attempt=1, lease_seconds=60) is None
    assert not rig.run(ledger.report, job_id, attempt=1, fraction=0.5, message="half")
    assert not rig.finish(job_id, attempt=1)
    assert not rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=0, error=AGAIN)
    assert not rig.run(ledger.postpone, job_id, attempt=1, wait_seconds=0, patience_seconds=60, error=AGAIN)
    assert rig.run(ledger.hand_back, job_id, attempt=1) == []
    assert rig.run(ledger.lose, job_id, attempt=1) == []
    assert rig.sweep() == {}
    assert rig.run(ledger.sweep_overdue) == []
    assert rig.ring() == []
    assert rig.run(ledger.cancel, job_id, tenant_id=TENANT) is None
    assert rig.row(job_id) == before


def test_a_job_whose_time_has_not_come_is_neither_rung_nor_claimed(rig: Rig) -> None:
    job_id = rig.put_running()
    assert rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=100, error=AGAIN)
    assert rig.ring() == []
    assert rig.claim(job_id) is None
    rig.change(job_id, run_after=PAST, ring_after=PAST)
    assert rig.ring() == [job_id]
    assert rig.claim(job_id)


def test_a_job_is_tried_again_as_often_as_it_may_be(rig: Rig) -> None:
    job_id = rig.put(tries_left=3)
    for attempt in (1, 2):
        claim = rig.claim(job_id)
        assert claim is not None
        assert (claim.attempt, claim.tries_left) == (attempt, 4 - attempt)
        assert rig.run(ledger.try_again, job_id, attempt=attempt, wait_seconds=0, error=AGAIN)
        row = rig.row(job_id)
        assert (row.state, row.lost, row.error_type, row.lease_owner) == (State.QUEUED, 0, AGAIN[0], None)
    rig.claim(job_id)
    assert not rig.run(ledger.try_again, job_id, attempt=3, wait_seconds=0, error=AGAIN)
    assert rig.state(job_id) == State.RUNNING


def test_success_after_a_retry_shows_no_error(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=0, error=AGAIN)
    rig.claim(job_id)
    assert rig.finish(job_id, attempt=2)
    assert (rig.row(job_id).error_type, rig.row(job_id).error_message) == (None, None)


def test_a_cancelled_job_is_not_tried_again(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    assert not rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=0, error=AGAIN)


def test_the_third_loss_of_a_worker_is_the_last(rig: Rig) -> None:
    job_id = rig.put()
    moves = []
    for _ in range(MAX_LOST):
        assert rig.claim(job_id, lease_seconds=-1)
        moves.append(rig.sweep()[job_id])
    assert moves == [State.QUEUED, State.QUEUED, State.DEAD]
    row = rig.row(job_id)
    assert (row.error_type, row.lost, row.attempt, row.tries_left) == ("WorkerLostError", 3, 3, 3)
    assert row.finished_at is not None
    assert rig.claim(job_id) is None


def test_a_swept_job_is_rung_at_once(rig: Rig) -> None:
    job_id = rig.put()
    rig.claim(job_id, lease_seconds=-1)
    assert rig.ring() == []
    rig.sweep()
    assert rig.ring() == [job_id]
    assert rig.ring() == []


def test_a_doorbell_just_rung_by_the_api_is_not_rung_again_yet(rig: Rig) -> None:
    job_id = rig.put(priority=7, traceparent="00-1-2-01")
    assert rig.ring() == []
    rig.change(job_id, ring_after=PAST)
    bells = rig.run(ledger.take_due_doorbells, again_seconds=30, limit=10)
    assert bells == [ledger.Doorbell(job_id, KIND, 7, "00-1-2-01")]


def test_doorbells_are_rung_in_capped_batches_the_longest_due_first(rig: Rig) -> None:
    jobs = [rig.put() for _ in range(5)]
    for age, job_id in enumerate(jobs):
        rig.change(job_id, ring_after=PAST + 100 - age)
    assert rig.ring(limit=2) == sorted(jobs[3:])
    assert rig.ring(limit=2) == sorted(jobs[1:3])
    assert rig.ring(limit=2) == jobs[:1]


def test_a_queued_job_is_cancelled_at_once(rig: Rig) -> None:
    job_id = rig.put()
    swept = rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    assert swept == ledger.MovedJob(job_id, TENANT, KIND, 0, State.CANCELLED)
    row = rig.row(job_id)
    assert (row.error_type, row.started_at) == ("JobCancelledError", None)
    assert row.finished_at is not None
    assert rig.claim(job_id) is None


def test_a_running_job_is_asked_to_stop_and_its_beat_hears_of_it(rig: Rig) -> None:
    job_id = rig.put_running()
    swept = rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    assert swept.state == State.RUNNING
    assert rig.row(job_id).finished_at is None
    assert rig.run(ledger.peek, job_id, attempt=1) == ledger.Beat(True, False)
    assert rig.run(ledger.beat, job_id, attempt=1, lease_seconds=60) == ledger.Beat(True, False)
    assert [moved.state for moved in rig.run(ledger.hand_back, job_id, attempt=1)] == [State.CANCELLED]
    assert rig.row(job_id).error_type == "JobCancelledError"


def test_work_done_before_the_stop_arrived_counts(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    assert rig.finish(job_id, attempt=1)
    assert rig.state(job_id) == State.SUCCEEDED
    assert rig.run(ledger.hand_back, job_id, attempt=1) == []


def test_a_job_to_be_cancelled_whose_worker_dies_is_cancelled(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    assert [moved.state for moved in rig.run(ledger.lose, job_id, attempt=1)] == [State.CANCELLED]


def test_another_tenant_cannot_cancel_a_job(rig: Rig) -> None:
    job_id = rig.put()
    assert rig.run(ledger.cancel, job_id, tenant_id="other") is None
    assert rig.state(job_id) == State.QUEUED


def test_a_queued_job_past_its_deadline_is_failed_and_not_claimed(rig: Rig) -> None:
    job_id = rig.put(deadline_seconds=60)
    assert rig.run(ledger.sweep_overdue) == []
    rig.change(job_id, deadline_at=PAST)
    assert rig.claim(job_id) is None
    assert [moved.state for moved in rig.run(ledger.sweep_overdue)] == [State.FAILED]
    assert rig.row(job_id).error_type == "DeadlineExceededError"


def test_a_running_job_is_stopped_at_its_deadline(rig: Rig) -> None:
    job_id = rig.put_running(deadline_seconds=60)
    row = rig.row(job_id)
    assert row.stop_at == row.deadline_at
    rig.change(job_id, stop_at=PAST)
    assert rig.run(ledger.beat, job_id, attempt=1, lease_seconds=60) == ledger.Beat(False, True)
    assert [moved.state for moved in rig.run(ledger.hand_back, job_id, attempt=1)] == [State.FAILED]
    assert rig.row(job_id).error_type == "DeadlineExceededError"


def test_a_lost_job_past_its_deadline_is_failed(rig: Rig) -> None:
    job_id = rig.put_running(deadline_seconds=60)
    rig.change(job_id, stop_at=PAST, lease_until=PAST)
    assert rig.sweep() == {job_id: State.FAILED}


@pytest.mark.parametrize("deadline_seconds", [None, 1000])
def test_an_attempt_without_a_near_deadline_ends_with_the_roles_limit(rig: Rig, deadline_seconds: int | None) -> None:
    job_id = rig.put(deadline_seconds=deadline_seconds)
    rig.claim(job_id, max_run_seconds=100)
    row = rig.row(job_id)
    assert abs(row.stop_at - row.started_at - 100_000) < 1000


def test_a_job_handed_back_is_queued_again_and_counts_no_loss(rig: Rig) -> None:
    job_id = rig.put_running()
    assert [moved.state for moved in rig.run(ledger.hand_back, job_id, attempt=1)] == [State.QUEUED]
    row = rig.row(job_id)
    assert (row.lost, row.tries_left, row.lease_owner, row.finished_at) == (0, 3, None, None)
    assert rig.ring() == [job_id]
    assert rig.claim(job_id, owner="b")


def test_progress_is_shown_until_the_next_attempt(rig: Rig) -> None:
    job_id = rig.put_running()
    assert rig.run(ledger.report, job_id, attempt=1, fraction=0.5, message="x" * 600)
    row = rig.row(job_id)
    assert (row.progress_fraction, len(row.progress_message), row.version) == (0.5, 500, 3)
    rig.run(ledger.hand_back, job_id, attempt=1)
    rig.claim(job_id)
    assert rig.row(job_id).progress_fraction is None


def test_every_visible_change_has_a_row_version_of_its_own(rig: Rig) -> None:
    job_id = rig.put()
    seen = [rig.row(job_id).version]
    rig.claim(job_id)
    seen.append(rig.row(job_id).version)
    rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=0, error=AGAIN)
    seen.append(rig.row(job_id).version)
    rig.claim(job_id)
    rig.lose(job_id)
    rig.sweep()
    seen.append(rig.row(job_id).version)
    rig.run(ledger.cancel, job_id, tenant_id=TENANT)
    seen.append(rig.row(job_id).version)
    assert seen == sorted(set(seen))


def test_a_job_that_is_left_alone_stays_as_it_is(rig: Rig) -> None:
    queued, running = rig.put(), rig.put_running()
    rig.change(queued, ring_after=FUTURE)
    before = rig.row(queued), rig.row(running)
    assert rig.sweep() == {}
    assert rig.run(ledger.sweep_overdue) == []
    assert rig.ring() == []
    assert (rig.row(queued), rig.row(running)) == before


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "a␀b"), ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b")])
def test_any_text_of_an_error_can_be_written(rig: Rig, text: str, kept: str) -> None:
    job_id = rig.put_running()
    assert rig.run(ledger.report, job_id, attempt=1, fraction=0.5, message=text)
    assert rig.run(ledger.try_again, job_id, attempt=1, wait_seconds=0, error=("BadDataError", text))
    rig.claim(job_id)
    assert rig.run(ledger.finish, job_id, attempt=2, state=State.FAILED, error=("E" * 200, text))
    assert rig.row(job_id).error_message == kept


def finish_and_go_on(rig: Rig, job_id: str, *, attempt: int = 1) -> tuple[bool, ledger.Claim | None]:
    with rig.engines.single_statement().begin() as connection:
        return ledger.finish_and_claim_next(
            connection,
            job_id,
            attempt=attempt,
            result={"by": attempt},
            kinds=[KIND],
            owner="b",
            lease_seconds=60,
            max_run_seconds=60,
        )


def test_an_end_and_the_next_claim_come_together(rig: Rig) -> None:
    done, later, urgent = rig.put_running(), rig.put(), rig.put(priority=9)
    ended, claim = finish_and_go_on(rig, done)
    assert ended
    assert claim is not None
    assert (claim.job_id, claim.attempt, claim.params) == (urgent, 1, {"name": "telco"})
    assert (rig.state(done), rig.row(done).result) == (State.SUCCEEDED, {"by": 1})
    assert (rig.state(urgent), rig.row(urgent).lease_owner) == (State.RUNNING, "b")
    assert rig.state(later) == State.QUEUED


def test_an_end_comes_alone_when_no_job_is_ready(rig: Rig) -> None:
    done = rig.put_running()
    rig.put(kind="ingestion.other")
    assert finish_and_go_on(rig, done) == (True, None)
    assert rig.state(done) == State.SUCCEEDED


def test_the_next_job_is_taken_though_the_last_was_lost_to_another_attempt(rig: Rig) -> None:
    lost, ready = rig.put_running(), rig.put()
    rig.change(lost, attempt=2)
    ended, claim = finish_and_go_on(rig, lost)
    assert (ended, claim and claim.job_id) == (False, ready)
    assert rig.state(lost) == State.RUNNING
