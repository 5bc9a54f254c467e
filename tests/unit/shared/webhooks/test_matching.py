"""Matching: each event makes one delivery for each webhook that wants it, and nothing is skipped."""

import pytest
import sqlalchemy as sa

from shared.webhooks import matching
from tests.unit.shared.webhooks.rows import DELIVERIES, WEBHOOKS, Rows


@pytest.mark.parametrize(
    ("types", "prefix", "wanted"),
    [
        ([], None, True),
        (["job.succeeded"], None, True),
        (["job.succeeded.more"], None, False),
        (["job.*"], None, True),
        (["model.created", "job.*"], None, True),
        (["jo.*"], None, False),
        (["job.failed"], None, False),
        ([], "training_", True),
        (["job.*"], "evaluation_", False),
    ],
)
def test_an_event_is_wanted_by_its_type_and_its_subject(types: list[str], prefix: str | None, wanted: bool) -> None:
    assert matching.is_wanted("job.succeeded", "training_1", types=types, prefix=prefix) is wanted


def test_each_event_makes_one_delivery_for_each_webhook_that_wants_it(rows: Rows) -> None:
    every, some = rows.add_webhook(), rows.add_webhook(types=["job.failed"])
    stranger = rows.add_webhook(tenant_id="another")
    events = rows.log("job.failed", "model.created", "job.failed")
    assert {key.webhook_id for key in rows.run(matching.list_behind)} == {every.webhook_id, some.webhook_id}
    assert [rows.match(key) for key in (every, some, stranger, every, some)] == [3, 2, 0, 0, 0]
    assert [row.event_id for row in rows.deliveries(every)] == events
    assert [row.event_id for row in rows.deliveries(some)] == [events[0], events[2]]
    assert rows.deliveries(stranger) == []
    assert rows.run(matching.list_behind) == []


def test_a_webhook_that_is_disabled_or_deleted_gets_nothing_and_goes_on_where_it_was(rows: Rows) -> None:
    disabled, deleted = rows.add_webhook(state="disabled"), rows.add_webhook(deleted_at=1)
    [event] = rows.log("job.failed")
    assert rows.run(matching.list_behind) == []
    assert [rows.match(key) for key in (disabled, deleted)] == [0, 0]
    rows.change(WEBHOOKS, disabled.webhook_id, state="enabled")
    assert rows.match(disabled) == 1
    assert [row.event_id for row in rows.deliveries(disabled)] == [event]


def test_two_that_match_at_once_make_no_delivery_twice(rows: Rows) -> None:
    key = rows.add_webhook()
    rows.log("job.failed", "job.failed")
    position = rows.webhook(key).position
    assert rows.match(key) == 2
    # The other one read the webhook before the first had moved it.
    rows.change(WEBHOOKS, key.webhook_id, position=position)
    rows.match(key)
    assert len(rows.deliveries(key)) == 2


def test_a_full_webhook_waits_in_the_log_and_misses_nothing(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_PENDING", 2)
    key = rows.add_webhook(types=["job.failed"])
    events = rows.log("job.failed", "model.created", "job.failed", "job.failed")
    assert [rows.match(key), rows.match(key)] == [2, 0]
    rows.run(lambda connection: connection.execute(sa.update(DELIVERIES).values(state="delivered")))
    assert rows.match(key) == 1
    assert [row.event_id for row in rows.deliveries(key)] == [events[0], events[2], events[3]]
