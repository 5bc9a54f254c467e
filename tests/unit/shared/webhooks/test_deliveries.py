"""Deliveries: leased to one, tried again by the schedule, fenced; and what they tell of their webhook."""

import pytest
import sqlalchemy as sa

from shared.events import log
from shared.webhooks import deliveries, retention, schedule
from shared.webhooks.schedule import Outcome
from shared.webhooks.states import DeliveryState, WebhookState
from tests.unit.shared.webhooks.rows import DELIVERIES, WEBHOOKS, Rows

FAILED = Outcome(status=500, error="The receiver answered 500.")
DELIVERED = Outcome(status=204)


def test_a_delivery_is_leased_once_until_its_lease_is_over(rows: Rows) -> None:
    key = rows.add_webhook()
    rows.log("job.failed")
    rows.match(key)
    first = rows.take(key)
    assert rows.lease(key) is None
    assert rows.run(deliveries.list_due) == []
    rows.change(DELIVERIES, first.id, leased_until=rows.now() - 1, due_at=rows.now() - 1)
    again = rows.take(key)
    assert (again.id, again.event_id, again.lease) == (first.id, first.event_id, first.lease + 1)
    # The first one comes back, and changes nothing.
    assert rows.finish(first, DELIVERED) is None
    assert rows.deliveries(key)[0].state == DeliveryState.PENDING
    assert rows.webhook(key).delivered_at is None
    assert rows.finish(again, DELIVERED) == DeliveryState.DELIVERED
    assert rows.finish(again, FAILED) is None
    assert rows.deliveries(key)[0].status == 204


def test_no_more_than_two_of_a_webhook_are_under_way_and_none_while_it_is_paused(rows: Rows) -> None:
    key, other = rows.add_webhook(), rows.add_webhook()
    rows.log(*["job.failed"] * 3)
    rows.match(key), rows.match(other)
    taken = [rows.take(key), rows.take(key)]
    assert rows.lease(key) is None
    assert rows.take(other)
    rows.finish(taken[0], DELIVERED)
    assert rows.take(key)
    rows.change(WEBHOOKS, other.webhook_id, paused_until=rows.now() + 60_000)
    assert rows.lease(other) is None
    assert rows.run(deliveries.list_due) == []


def test_attempts_follow_the_schedule_and_then_it_has_failed(rows: Rows) -> None:
    key = rows.add_webhook()
    rows.log("job.failed")
    rows.match(key)
    waits = []
    for _ in schedule.WAITS_SECONDS:
        leased = rows.take(key)
        before = rows.now()
        state = rows.finish(leased, FAILED)
        [row] = rows.deliveries(key)
        waits.append((row.due_at - before) / 1000)
        if state == DeliveryState.PENDING:
            assert rows.lease(key) is None, "not before its time"
            rows.change(DELIVERIES, row.id, due_at=before)
    assert (row.state, row.attempts, row.error) == (DeliveryState.FAILED, 10, FAILED.error)
    expected = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    for waited, wait in zip(waits, expected, strict=False):
        assert wait <= waited <= wait * 1.1 + 2
    assert rows.lease(key) is None


@pytest.mark.parametrize("status", [429, 502, 504])
def test_an_overloaded_receiver_has_pauses_that_grow_and_end_with_a_success(rows: Rows, status: int) -> None:
    key = rows.add_webhook()
    rows.log("job.failed", "job.failed")
    rows.match(key)
    pauses = []
    for _ in range(3):
        leased = rows.take(key)
        before = rows.now()
        rows.finish(leased, Outcome(status=status, error="slow down"))
        pauses.append(round((rows.webhook(key).paused_until - before) / 1000))
        rows.change(WEBHOOKS, key.webhook_id, paused_until=0)
        rows.change(DELIVERIES, leased.id, due_at=before)
    assert pauses == [10, 20, 40]
    rows.finish(rows.take(key), DELIVERED)
    assert (rows.webhook(key).throttles, rows.webhook(key).failing_since) == (0, None)


def test_retry_after_pauses_the_webhook_and_its_delivery_and_one_lost_answer_does_not(rows: Rows) -> None:
    asked, silent = rows.add_webhook(), rows.add_webhook()
    rows.log("job.failed")
    rows.match(asked), rows.match(silent)
    before = rows.now()
    rows.finish(rows.take(asked), Outcome(status=503, error="busy", retry_after_seconds=120))
    rows.finish(rows.take(silent), Outcome(error="no answer"))
    assert 120_000 <= rows.webhook(asked).paused_until - before < 125_000
    assert rows.deliveries(asked)[0].due_at - before >= 120_000
    assert rows.webhook(silent).paused_until == 0
    rows.change(DELIVERIES, rows.deliveries(silent)[0].id, due_at=before)
    rows.finish(rows.take(silent), Outcome(error="no answer"))
    assert rows.webhook(silent).paused_until > before


def test_410_disables_the_webhook_and_says_so_in_the_log(rows: Rows) -> None:
    key = rows.add_webhook(name="alarms")
    rows.log("job.failed", "job.failed")
    rows.match(key)
    for leased in (rows.take(key), rows.take(key)):
        rows.finish(leased, Outcome(status=410, error="The receiver answered 410."))
    row = rows.webhook(key)
    assert (row.state, row.revision) == (WebhookState.DISABLED, 2)
    assert "410" in row.disabled_reason
    assert rows.lease(key) is None
    last = rows.run(log.read_after, 2, limit=10)
    assert [(event.type, event.subject, event.tenant_id) for event in last] == [("webhook.disabled", "alarms", "acme")]
    assert last[0].data["name"] == "alarms"


def test_a_webhook_is_disabled_after_long_failure_and_not_after_one_delivery_that_it_refuses(rows: Rows) -> None:
    fine, dead = rows.add_webhook(), rows.add_webhook()
    rows.log("job.failed")
    for key in (fine, dead):
        rows.match(key)
    rows.change(DELIVERIES, rows.deliveries(fine)[0].id, attempts=9)
    long_ago = rows.now() - schedule.GIVEN_UP_SECONDS * 1000
    rows.change(WEBHOOKS, dead.webhook_id, failing_since=long_ago)
    rows.change(WEBHOOKS, fine.webhook_id, failing_since=long_ago + 60_000)
    assert rows.finish(rows.take(fine), FAILED) == DeliveryState.FAILED
    assert rows.finish(rows.take(dead), FAILED) == DeliveryState.PENDING
    assert rows.webhook(fine).state == WebhookState.ENABLED
    assert rows.webhook(dead).state == WebhookState.DISABLED
    assert "3.1 days" in rows.webhook(dead).disabled_reason


def test_what_is_leased_has_its_event_and_both_secrets_while_one_is_replaced(rows: Rows) -> None:
    soon = rows.now() + 60_000
    key = rows.add_webhook(earlier_salts=[{"salt": "old", "until": soon}])
    [event] = rows.log("job.failed", subject="training_7")
    rows.match(key)
    leased = rows.take(key)
    assert leased.event is not None
    assert (leased.event["id"], leased.event["type"], leased.event["subject"]) == (
        event, "dev.millrace.job.failed", "training_7",
    )  # fmt: skip
    assert len(set(leased.secrets)) == 2
    rows.change(WEBHOOKS, key.webhook_id, earlier_salts=[{"salt": "old", "until": rows.now() - 1}])
    rows.change(DELIVERIES, leased.id, leased_until=0, due_at=0)
    assert rows.take(key).secrets == leased.secrets[:1]


def test_old_deliveries_are_removed_and_those_of_a_deleted_webhook(rows: Rows) -> None:
    kept, deleted = rows.add_webhook(), rows.add_webhook()
    rows.log("job.failed", "job.failed", "job.failed")
    rows.match(kept), rows.match(deleted)
    first, second, _ = [row.id for row in rows.deliveries(kept)]
    day = 86_400_000
    rows.change(DELIVERIES, first, state="failed", ended_at=rows.now() - 31 * day)
    rows.change(DELIVERIES, second, state="failed", ended_at=rows.now() - 29 * day)
    rows.change(WEBHOOKS, deleted.webhook_id, deleted_at=1)
    assert rows.run(retention.remove_old, retention_seconds=30 * 86_400, limit=10) == 1
    assert [row.id == first for row in rows.deliveries(kept)] == [False, False]
    assert [rows.run(retention.remove_deleted, limit=2) for _ in range(3)] == [True, True, False]
    ids = rows.run(lambda connection: connection.execute(sa.select(WEBHOOKS.c.id)).scalars().all())
    assert ids == [kept.webhook_id]
    assert len(rows.deliveries(kept)) == 2
