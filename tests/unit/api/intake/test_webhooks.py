"""What requests change of webhooks and deliveries, on both databases."""

from typing import Any

import pytest
import sqlalchemy as sa

from api.intake.orders import Client
from api.intake.webhooks import changes, replays
from api.reads.webhooks import pages
from shared import database, errors
from shared.catalog import api_tables
from shared.webhooks.document import Webhook
from shared.webhooks.matching import Key
from shared.webhooks.schedule import Outcome
from shared.webhooks.states import DeliveryState
from tests.unit.shared.webhooks.rows import CONFIG, DELIVERIES, TENANT, WEBHOOKS, Rows

CLIENT = Client(tenant_id=TENANT, key_id="key_1")
FAILED = replays.Filter(state=DeliveryState.FAILED)


@pytest.fixture
def rows(engines: database.Engines) -> Rows:
    """Return empty tables, on SQLite and on PostgreSQL in turn."""
    return Rows(engines)


def put(rows: Rows, name: str = "alarms", *, expected: int | None = None, **fields: Any) -> changes.Change:
    """Put a webhook."""
    document = Webhook(**{"url": "https://example.org/", **fields})
    change: changes.Change = rows.run(
        changes.put, name, document, client=CLIENT, expected_revision=expected, config=CONFIG
    )
    return change


def key_of(change: changes.Change) -> Key:
    """Return the key of the webhook that was changed."""
    return Key(change.row.tenant_id, change.row.id)


def test_a_new_webhook_begins_behind_what_is_logged_and_shows_its_secret_once(rows: Rows) -> None:
    rows.log("job.failed", "job.failed")
    created = put(rows)
    assert (created.row.position, created.row.revision, bool(created.secret)) == (2, 1, True)
    assert put(rows).secret is None
    changed = put(rows, types=["job.*", "job.*"], expected=1)
    assert (changed.row.types, changed.row.revision, changed.row.position) == (["job.*"], 2, 2)
    with pytest.raises(errors.PreconditionFailedError, match="revision 2, not 1"):
        put(rows, expected=1)
    rotated = rows.run(changes.rotate, TENANT, "alarms", keep_old_seconds=60, expected_revision=2, config=CONFIG)
    assert rotated.secret not in (None, created.secret)
    again = rows.run(changes.rotate, TENANT, "alarms", keep_old_seconds=60, expected_revision=3, config=CONFIG)
    salts = [each["salt"] for each in again.row.earlier_salts]
    assert salts == [created.row.salt, rotated.row.salt], "the answer to the first rotation may have been lost"
    assert all(each["until"] > rows.now() for each in again.row.earlier_salts)
    ended = rows.run(changes.rotate, TENANT, "alarms", keep_old_seconds=0, expected_revision=4, config=CONFIG)
    assert ended.row.earlier_salts == []


def test_one_that_was_deleted_leaves_its_name_and_another_tenants_stays(rows: Rows) -> None:
    first = put(rows)
    rows.add_webhook(tenant_id="another", name="alarms")
    rows.run(changes.delete, TENANT, "alarms", expected_revision=None)
    with pytest.raises(errors.NotFoundError):
        rows.run(changes.find, TENANT, "alarms")
    assert rows.run(changes.find, "another", "alarms").revision == 1
    assert put(rows).row.id != first.row.id
    with pytest.raises(errors.ConflictError, match="limit"):
        rows.run(
            changes.put,
            "more",
            Webhook(url="https://example.org/"),
            client=CLIENT,
            expected_revision=None,
            config=CONFIG.model_copy(update={"webhooks_per_tenant": 1}),
        )


def test_enabling_ends_a_pause_and_skips_what_was_missed_only_if_that_is_wanted(rows: Rows) -> None:
    key = key_of(put(rows))
    rows.change(WEBHOOKS, key.webhook_id, state="disabled", failing_since=1, paused_until=rows.now() + 60_000)
    rows.log("job.failed", "job.failed")
    assert rows.run(changes.enable, TENANT, "alarms", missed=True, expected_revision=None).row.position == 0
    rows.change(WEBHOOKS, key.webhook_id, state="disabled")
    row = rows.run(changes.enable, TENANT, "alarms", missed=False, expected_revision=None).row
    assert (row.position, row.failing_since, row.paused_until, row.state) == (2, None, 0, "enabled")
    # Of one that is enabled nothing is skipped.
    rows.log("job.failed")
    assert rows.run(changes.enable, TENANT, "alarms", missed=False, expected_revision=None).row.position == 2


def test_a_replay_takes_what_its_filter_says_of_its_own_webhook_and_only_what_can_be_sent(rows: Rows) -> None:
    key, other = key_of(put(rows)), key_of(put(rows, "other"))
    events = rows.log("job.failed", "job.dead", "model.created", "job.failed")
    rows.match(key), rows.match(other)
    rows.run(lambda connection: connection.execute(sa.update(DELIVERIES).values(state="failed", ended_at=5)))
    gone = sa.delete(api_tables.events).where(api_tables.events.c.id == events[3])
    rows.run(lambda connection: connection.execute(gone))
    assert rows.run(replays.replay_all, TENANT, "alarms", FAILED, dry_run=True) == 3
    jobs = replays.Filter(state=DeliveryState.FAILED, type="job.*", since=1, until=rows.now() + 60_000)
    assert rows.run(replays.replay_all, TENANT, "alarms", jobs, dry_run=False) == 2
    assert [row.state for row in rows.deliveries(key)] == ["pending", "pending", "failed", "failed"]
    assert {row.ended_at for row in rows.deliveries(key)[:2]} == {None}
    assert {row.state for row in rows.deliveries(other)} == {"failed"}
    third, fourth = rows.deliveries(key)[2:]
    rows.run(replays.replay, TENANT, "alarms", third.id)
    assert rows.deliveries(key)[2].state == "pending"
    with pytest.raises(errors.ConflictError, match="no longer has"):
        rows.run(replays.replay, TENANT, "alarms", fourth.id)
    with pytest.raises(errors.NotFoundError):
        rows.run(replays.replay, TENANT, "alarms", rows.deliveries(other)[0].id)


def test_a_replay_of_one_that_waits_makes_it_due_and_of_one_under_way_sends_nothing_beside_it(rows: Rows) -> None:
    key = key_of(put(rows))
    rows.log("job.failed")
    rows.match(key)
    leased = rows.take(key)
    rows.run(replays.replay, TENANT, "alarms", leased.id)
    assert rows.lease(key) is None
    rows.finish(leased, Outcome(status=500, error="no"))
    assert rows.lease(key) is None
    rows.run(replays.replay, TENANT, "alarms", leased.id)
    again = rows.take(key)
    assert (again.id, again.attempts) == (leased.id, 1)


def test_a_test_has_its_event_with_it_and_pages_show_all(rows: Rows) -> None:
    key = key_of(put(rows, types=["model.*"]))
    delivery_id = rows.run(replays.send_test, TENANT, "alarms")
    leased = rows.take(key)
    assert leased.event is not None
    assert (leased.id, leased.event["type"]) == (delivery_id, "dev.millrace.webhook.test")
    databases: Any = {"api": rows.engines}
    assert pages.show(databases, TENANT, "alarms")["pending"] == 1
    assert [each["name"] for each in pages.page(databases, TENANT, limit=5, cursor=None)["webhooks"]] == ["alarms"]
    page = pages.page_of_deliveries(databases, TENANT, "alarms", state=DeliveryState.PENDING, limit=5, cursor=None)
    assert [each["id"] for each in page["deliveries"]] == [delivery_id]
    with pytest.raises(errors.NotFoundError):
        pages.show_delivery(databases, "another", "alarms", delivery_id)
