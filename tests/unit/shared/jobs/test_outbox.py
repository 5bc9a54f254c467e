"""Events between roles: they leave if and only if their effect was committed, and are received once."""

import dataclasses

import pytest

from shared import ids
from shared.jobs import ledger, outbox
from shared.jobs.states import State
from tests.unit.rig import KIND, PAST, TENANT, Rig

EVENT = outbox.Event("thing.made", "thing@1", TENANT, {"version": 1, "state": State.DEAD, "text": "é\u2028"})


def test_an_event_comes_out_as_it_was_put_in(rig: Rig) -> None:
    rig.run(outbox.put, [EVENT])
    (event,) = rig.run(outbox.read, limit=10)
    assert (event.type, event.subject, event.tenant_id) == ("thing.made", "thing@1", TENANT)
    assert event.data == {"version": 1, "state": "dead", "text": "é\u2028"}
    assert event.created_at > PAST
    assert ids.role_of(f"a_{event.id}") == "a"


def test_nothing_to_put_and_nothing_to_drop_is_no_error(rig: Rig) -> None:
    rig.run(outbox.put, [])
    rig.run(outbox.drop, [])
    assert rig.run(outbox.read, limit=10) == []


def test_an_event_of_an_effect_that_is_rolled_back_never_leaves(rig: Rig) -> None:
    with rig.engines.transactions.connect() as connection:
        outbox.put(connection, [EVENT])
        connection.rollback()
    assert rig.run(outbox.read, limit=10) == []


def test_events_are_read_in_the_order_in_which_they_were_put(rig: Rig) -> None:
    for number in range(20):
        rig.run(
            outbox.put,
            [outbox.Event("a", str(2 * number), TENANT, {}), outbox.Event("a", str(2 * number + 1), TENANT, {})],
        )
    assert [event.subject for event in rig.run(outbox.read, limit=30)] == [str(number) for number in range(30)]


def test_an_event_whose_relay_died_is_read_again_with_the_same_id(rig: Rig) -> None:
    rig.run(outbox.put, [EVENT])
    (first,) = rig.run(outbox.read, limit=10)
    assert rig.run(outbox.read, limit=10) == [first]


def test_an_event_that_was_dropped_is_gone(rig: Rig) -> None:
    rig.run(outbox.put, [EVENT, EVENT])
    first, second = rig.run(outbox.read, limit=10)
    rig.run(outbox.drop, [first.id])
    assert rig.run(outbox.read, limit=10) == [second]


def test_an_event_tells_its_story_and_begins_one_where_it_has_none(rig: Rig) -> None:
    rig.run(outbox.put, [EVENT, dataclasses.replace(EVENT, correlation_id="story")])
    first, second = rig.run(outbox.read, limit=10)
    assert (first.correlation_id, second.correlation_id) == (first.id, "story")


def test_the_end_of_a_job_tells_its_story_and_begins_one_where_it_has_none(rig: Rig) -> None:
    for job_id in (lone := rig.put_running(), rig.put_running(correlation_id="story")):
        rig.run(ledger.finish, job_id, attempt=1, state=State.DEAD)
    assert [end.correlation_id for end in rig.run(outbox.read_ends, limit=10)] == [lone, "story"]


def test_a_message_is_received_once_and_another_too(rig: Rig) -> None:
    assert rig.run(outbox.receive, "m", tenant_id=TENANT)
    assert not rig.run(outbox.receive, "m", tenant_id=TENANT)
    assert rig.run(outbox.receive, "n", tenant_id=TENANT)


def test_the_end_of_a_job_is_told_once_with_ids_alone(rig: Rig) -> None:
    job_id = rig.put_running()
    assert rig.run(outbox.read_ends, limit=10) == []
    rig.run(ledger.finish, job_id, attempt=1, state=State.DEAD)
    (end,) = rig.run(outbox.read_ends, limit=10)
    assert (end.id, end.type, end.subject, end.tenant_id) == (f"{job_id}.ended", "job.dead", job_id, TENANT)
    assert end.data == {"job_id": job_id, "kind": KIND, "state": State.DEAD, "attempt": 1}
    assert [again.id for again in rig.run(outbox.read_ends, limit=10)] == [end.id]
    rig.run(outbox.drop_ends, [job_id])
    assert rig.row(job_id).announce_after is None


@pytest.mark.parametrize("way", ["cancel", "sweep", "sweep_overdue", "hand_back"])
def test_every_way_to_an_end_is_told(rig: Rig, way: str) -> None:
    if way == "cancel":
        rig.run(ledger.cancel, rig.put(), tenant_id=TENANT)
    elif way == "sweep_overdue":
        rig.change(rig.put(), deadline_at=PAST)
        rig.run(ledger.sweep_overdue)
    else:
        job_id = rig.put_running()
        rig.change(job_id, lease_until=PAST, cancel_requested=1)
        rig.run(ledger.sweep) if way == "sweep" else rig.run(ledger.hand_back, job_id, attempt=1)
    assert len(rig.run(outbox.read_ends, limit=10)) == 1


def test_a_job_that_is_queued_again_has_not_ended(rig: Rig) -> None:
    job_id = rig.put_running()
    rig.change(job_id, lease_until=PAST)
    rig.run(ledger.sweep)
    assert rig.run(outbox.read_ends, limit=10) == []
