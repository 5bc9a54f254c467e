"""Webhooks over REST, from the event to a receiver, with the sweeper's own chores between them."""

from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database, ids, settings
from shared.catalog import api_tables
from shared.events import log
from shared.jobs import outbox
from sweeper.webhooks.deliver import Deliverer
from sweeper.webhooks.match import MatchWebhooks
from tests.integration.steps import at_home, client_of, opened, parts_of, problem_of
from tests.webhook_receiver import Answer, Receiver

Client = flask.testing.FlaskClient


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield a receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def app(home: Any) -> Iterator[flask.Flask]:
    """Yield the API of an empty home whose operator allows this host, and three webhooks."""
    with at_home(home, WEBHOOK_ALLOW_HOSTS="127.0.0.1/32", WEBHOOKS_PER_TENANT="3"), opened() as app:
        yield app


def engines_of(app: flask.Flask) -> database.Engines:
    """Return the engines of the API's database."""
    return parts_of(app).databases["api"]


def happen(app: flask.Flask, *types: str, tenant_id: str = "default") -> list[str]:
    """Log events; gives their ids."""
    told = [
        outbox.OutgoingEvent(
            id=ids.new_ulid(),
            tenant_id=tenant_id,
            type=type_,
            subject="training_1",
            data={},
            created_at=1_700_000_000_000,
            correlation_id="story",
        )
        for type_ in types
    ]
    with engines_of(app).transactions.begin() as connection:
        log.append(connection, told, role="training")
    return [event.id for event in told]


def sweep(app: flask.Flask) -> None:
    """Do what the sweeper does, once."""
    MatchWebhooks(engines_of(app)).do()
    for thread in Deliverer(engines_of(app), config=settings.load()).start_due():
        thread.join(timeout=30)


def put(client: Client, name: str, url: str, **fields: Any) -> dict[str, Any]:
    """Create a webhook."""
    response = client.put(f"/v1/webhooks/{name}", json={"url": url, **fields})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.get_json()
    return created


def list_of(client: Client, name: str, query: str = "") -> list[dict[str, Any]]:
    """List a webhook's deliveries."""
    response = client.get(f"/v1/webhooks/{name}/deliveries{query}")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.get_json()["deliveries"]
    return found


def test_what_happens_after_its_creation_reaches_a_webhook_signed_with_the_secret_that_was_shown_once(
    app: flask.Flask, client: Client, receiver: Receiver
) -> None:
    happen(app, "job.failed")
    created = put(client, "alarms", receiver.url, types=["dev.millrace.job.failed", "model.*"])
    assert created["types"] == ["job.failed", "model.*"]
    events = happen(app, "job.failed", "job.succeeded", "model.created")
    sweep(app)
    assert receiver.ids() == [events[0], events[2]]
    assert all(got.is_signed_with(created["secret"]) for got in receiver.received)
    for path in ("/v1/webhooks", "/v1/webhooks/alarms", "/v1/webhooks/alarms/deliveries"):
        assert created["secret"] not in client.get(path).text
        assert "salt" not in client.get(path).text
    shown = client.get("/v1/webhooks/alarms").get_json()
    assert (shown["pending"], shown["enabled"], shown["delivered_at"] is None) == (0, True, False)
    assert [each["state"] for each in list_of(client, "alarms")] == ["delivered"] * 2
    page = client.get("/v1/webhooks/alarms/deliveries?limit=1").get_json()
    rest = client.get(f"/v1/webhooks/alarms/deliveries?cursor={page['next_cursor']}").get_json()
    assert [each["event_id"] for each in page["deliveries"] + rest["deliveries"]] == [events[2], events[0]]


def test_a_put_changes_a_webhook_and_says_which_revision_it_expects(client: Client) -> None:
    created = put(client, "alarms", "https://example.org/a")
    same = client.put("/v1/webhooks/alarms", json={"url": "https://example.org/a"}, headers={"If-Match": '"1"'})
    assert (same.status_code, same.headers["ETag"]) == (200, '"1"')
    assert "secret" not in same.get_json()
    changed = client.put("/v1/webhooks/alarms", json={"url": "https://example.org/b", "subject": "churn@"})
    assert {**changed.get_json(), "updated_at": ""} == {
        **{name: value for name, value in created.items() if name != "secret"},
        "url": "https://example.org/b",
        "subject": "churn@",
        "revision": 2,
        "updated_at": "",
    }
    stale = {"If-Match": '"1"'}
    for call in (
        client.put("/v1/webhooks/alarms", json={"url": "https://example.org/c"}, headers=stale),
        client.post("/v1/webhooks/alarms/rotate", json={}, headers=stale),
        client.post("/v1/webhooks/alarms/enable", json={}, headers={"If-Match": '"7"'}),
        client.delete("/v1/webhooks/alarms", headers=stale),
        client.put("/v1/webhooks/new", json={"url": "https://example.org/c"}, headers=stale),
    ):
        problem_of(call, 412)
    problem_of(client.delete("/v1/webhooks/alarms", headers={"If-Match": "new"}), 400)
    assert client.delete("/v1/webhooks/alarms", headers={"If-Match": '"2"'}).status_code == 204
    problem_of(client.get("/v1/webhooks/alarms"), 404)
    assert put(client, "alarms", "https://example.org/a")["revision"] == 1


REFUSED = {
    "https://user:secret@example.org/": "user name or password",
    "ftp://example.org/": "must be http or https",
    "http://example.org:0/": "port is 0",
    "https://10.0.0.1/": "not on the public internet",
    "https://[::1]/": "not on the public internet",
    "https://2130706434/": "not on the public internet",
    "https://127.2/": "not on the public internet",
    "https://169.254.169.254/latest": "not on the public internet",
    "http://8.8.8.8/": "posted by https",
    "https://exämple.org/": "Punycode",
    "https://example.org/#part": "fragment",
    "https://example.org/a b": "percent-encoded",
    "https:///": "no host",
    "": "",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_to_which_nothing_can_ever_go_is_refused_with_what_would_do(client: Client, url: str) -> None:
    response = client.put("/v1/webhooks/alarms", json={"url": url})
    problem = problem_of(response, 422)
    assert problem["errors"][0]["pointer"] == "#/url"
    assert REFUSED[url] in problem["errors"][0]["detail"]
    assert "secret@" not in response.text


@pytest.mark.parametrize("url", ["https://[::ffff:127.0.0.1]/", "http://127.0.0.1:9/", "http://hooks.intranet/"])
def test_what_the_operators_networks_hold_or_may_hold_is_taken(client: Client, url: str) -> None:
    put(client, "alarms", url)


def test_without_hosts_of_the_operators_nothing_inside_can_be_named(home: Any, keyring: dict[str, str]) -> None:
    with opened() as app:
        client = client_of(app, keyring["admin"])
        for url in ("http://example.org/", "https://127.0.0.1/", "https://localhost/", "https://x.localhost/"):
            problem = problem_of(client.put("/v1/webhooks/a", json={"url": url}), 422)
            assert "MILLRACE_WEBHOOK_ALLOW_HOSTS" in problem["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer", "hint"),
    [
        ({"types": ["job.faild"]}, "#/types/0", "job.failed"),
        ({"types": ["jobs.*"]}, "#/types/0", "no type of event"),
        ({"types": "job.failed"}, "#/types", "list"),
        ({"subject": ""}, "#/subject", "at least 1"),
        ({"secret": "whsec_mine"}, "#/secret", "permitted"),
    ],
)
def test_what_a_webhook_can_not_be_is_said(client: Client, fields: dict[str, Any], pointer: str, hint: str) -> None:
    response = client.put("/v1/webhooks/alarms", json={"url": "https://example.org/", **fields})
    [found] = problem_of(response, 422)["errors"]
    assert found["pointer"] == pointer
    assert hint in found["detail"]


def test_a_tenant_has_so_many_webhooks_and_no_more(client: Client) -> None:
    for name in ("a", "b", "c"):
        put(client, name, "https://example.org/")
    assert (
        "3 is the limit"
        in problem_of(client.put("/v1/webhooks/d", json={"url": "https://example.org/"}), 409)["detail"]
    )
    assert client.put("/v1/webhooks/a", json={"url": "https://example.org/2"}).status_code == 200
    client.delete("/v1/webhooks/b")
    put(client, "d", "https://example.org/")
    first = client.get("/v1/webhooks?limit=2").get_json()
    rest = client.get(f"/v1/webhooks?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["name"] for each in first["webhooks"] + rest["webhooks"]] == ["a", "c", "d"]


def test_another_tenant_sees_and_changes_nothing_and_gets_nothing(
    app: flask.Flask, client: Client, keyring: dict[str, str], receiver: Receiver
) -> None:
    put(client, "alarms", receiver.url)
    happen(app, "job.failed")
    happen(app, "job.failed", tenant_id="another")
    sweep(app)
    [delivery] = list_of(client, "alarms")
    assert len(receiver.received) == 1
    stranger = client_of(app, keyring["stranger"])
    assert stranger.get("/v1/webhooks").get_json()["webhooks"] == []
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/rotate", {}),
        ("POST", "/enable", {}),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", f"/deliveries/{delivery['id']}/replay", None),
        ("POST", "/deliveries/replay", {"state": "delivered"}),
    ):
        problem_of(stranger.open(f"/v1/webhooks/alarms{path}", method=method, json=body), 404)
    # The same name is theirs to take, and their deliveries are not ours.
    put(stranger, "alarms", receiver.url)
    problem_of(stranger.post(f"/v1/webhooks/alarms/deliveries/{delivery['id']}/replay"), 404)
    assert len(list_of(client, "alarms")) == 1


def test_a_secret_is_replaced_and_the_old_one_stays_valid_for_a_while(
    app: flask.Flask, client: Client, receiver: Receiver
) -> None:
    old = put(client, "alarms", receiver.url)["secret"]
    rotated = client.post("/v1/webhooks/alarms/rotate", json={"keep_old_seconds": 3600})
    assert rotated.headers["Cache-Control"] == "no-store"
    new = rotated.get_json()["secret"]
    assert new != old
    assert rotated.get_json()["old_secret_valid_until"] is not None
    happen(app, "job.failed")
    sweep(app)
    newest = client.post("/v1/webhooks/alarms/rotate", json={"keep_old_seconds": 0}).get_json()
    assert newest["old_secret_valid_until"] is None
    happen(app, "job.failed")
    sweep(app)
    during, after = receiver.received
    assert [during.is_signed_with(secret) for secret in (old, new)] == [True, True]
    assert [after.is_signed_with(secret) for secret in (old, new, newest["secret"])] == [False, False, True]


def test_a_test_is_sent_whatever_types_a_webhook_gets_and_is_in_no_log(
    app: flask.Flask, client: Client, receiver: Receiver
) -> None:
    put(client, "alarms", receiver.url, types=["job.failed"])
    delivery = client.post("/v1/webhooks/alarms/test").get_json()
    assert (delivery["state"], delivery["type"]) == ("pending", "webhook.test")
    sweep(app)
    [got] = receiver.received
    assert (got.id, got.event["type"], got.event["data"]) == (
        delivery["event_id"], "dev.millrace.webhook.test", {"name": "alarms"},
    )  # fmt: skip
    assert client.get("/v1/events").get_json()["events"] == []
    again = client.post(f"/v1/webhooks/alarms/deliveries/{delivery['id']}/replay").get_json()
    assert again["state"] == "pending"
    sweep(app)
    assert receiver.ids() == [delivery["event_id"]] * 2


def test_deliveries_are_sent_again_by_a_filter_after_they_were_counted(
    app: flask.Flask, client: Client, receiver: Receiver
) -> None:
    put(client, "alarms", receiver.url)
    events = happen(app, "job.failed", "job.failed", "model.created")
    sweep(app)
    replay = "/v1/webhooks/alarms/deliveries/replay"
    table = api_tables.webhook_deliveries
    with engines_of(app).transactions.begin() as connection:
        failed = sa.update(table).where(table.c.event_id.in_([events[0], events[2]]))
        connection.execute(failed.values(state="failed", attempts=10))
    counted = [
        client.post(replay, json={"dry_run": True, **chosen}).get_json()
        for chosen in (
            {},
            {"state": "delivered"},
            {"type": "job.*"},
            {"type": "model.created"},
            {"until": "2020-01-01T00:00:00Z"},
            {"since": "2020-01-01T00:00:00Z"},
        )
    ]
    assert [each["count"] for each in counted] == [2, 1, 1, 1, 0, 2]
    assert {each["dry_run"] for each in counted} == {True}
    sweep(app)
    assert len(receiver.received) == 3, "they were only counted"
    assert client.post(replay, json={"type": "job.*"}).get_json() == {"count": 1, "dry_run": False}
    sweep(app)
    assert receiver.ids() == [*events, events[0]]
    assert [each["event_id"] for each in list_of(client, "alarms", "?state=failed")] == [events[2]]
    problem_of(client.post(replay, json={"type": "job.faild"}), 422)
    problem_of(client.post(replay, json={"since": "yesterday"}), 422)
    # An event that the log no longer has can't be sent again, and isn't counted.
    with engines_of(app).transactions.begin() as connection:
        connection.execute(sa.delete(api_tables.events))
    assert client.post(replay, json={}).get_json()["count"] == 0
    [gone] = list_of(client, "alarms", "?state=failed")
    problem_of(client.post(f"/v1/webhooks/alarms/deliveries/{gone['id']}/replay"), 409)
    problem_of(client.post("/v1/webhooks/alarms/deliveries/nothing/replay"), 404)


def test_a_webhook_that_answers_410_is_disabled_until_its_owner_enables_it_and_then_gets_what_it_missed(
    app: flask.Flask, client: Client, receiver: Receiver
) -> None:
    put(client, "alarms", receiver.url, types=["job.failed"])
    receiver.answers = [Answer(410)]
    first = happen(app, "job.failed")
    sweep(app)
    shown = client.get("/v1/webhooks/alarms").get_json()
    assert (shown["enabled"], shown["revision"]) == (False, 2)
    assert "410" in shown["disabled_reason"]
    [told] = client.get("/v1/events?type=webhook.disabled").get_json()["events"]
    assert (told["subject"], told["source"], told["data"]["name"]) == ("alarms", "/millrace/api", "alarms")
    for path, body in (("/test", None), ("/deliveries/replay", {})):
        assert "enable" in problem_of(client.post(f"/v1/webhooks/alarms{path}", json=body), 409)["detail"].lower()
    missed = happen(app, "job.failed")
    # The same document again is no wish to enable it.
    client.put("/v1/webhooks/alarms", json={"url": receiver.url, "types": ["job.failed"]})
    sweep(app)
    assert receiver.ids() == first
    assert client.post("/v1/webhooks/alarms/enable", json={}).get_json()["enabled"] is True
    [waiting] = list_of(client, "alarms", "?state=pending")
    client.post(f"/v1/webhooks/alarms/deliveries/{waiting['id']}/replay")
    sweep(app)
    assert receiver.ids() == [*first, *first, *missed]
    off = client.put("/v1/webhooks/alarms", json={"url": receiver.url, "types": ["job.failed"], "enabled": False})
    assert off.get_json()["enabled"] is False
    happen(app, "job.failed")
    client.post("/v1/webhooks/alarms/enable", json={"missed": False})
    sweep(app)
    assert len(receiver.received) == 3
