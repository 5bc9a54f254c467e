"""Delivering to a real receiver: what it gets, what its answers do, and what never reaches anybody."""

import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from shared import database, settings
from shared.outbound import network
from shared.webhooks import keys, signatures
from shared.webhooks.matching import Key
from sweeper.webhooks import attempt, deliver
from tests.unit.ingestion.sources import certificates
from tests.unit.shared.webhooks.rows import CONFIG, DELIVERIES, WEBHOOKS, Rows
from tests.webhook_receiver import Answer, Receiver

ALLOWED = CONFIG.model_copy(update={"webhook_allow_hosts": ("127.0.0.1/32",)})


@pytest.fixture
def rows(engines: database.Engines) -> Rows:
    """Return empty tables, on SQLite and on PostgreSQL in turn."""
    return Rows(engines)


@pytest.fixture
def sqlite_rows(sqlite_engines: database.Engines) -> Rows:
    """Return empty tables on SQLite, for what isn't SQL."""
    from tests.unit.rig import empty

    empty(sqlite_engines)
    return Rows(sqlite_engines)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield a receiver."""
    with Receiver() as receiver:
        yield receiver


def deliver_due(rows: Rows, *, config: settings.Settings = ALLOWED, **options: Any) -> None:
    """Deliver what is due, once."""
    for thread in deliver.Deliverer(rows.engines, config=config, **options).start_due():
        thread.join(timeout=30)
        assert not thread.is_alive()


def hook(rows: Rows, url: str, *types: str, **values: Any) -> Key:
    """Add a webhook, and deliveries for it."""
    key = rows.add_webhook(url=url, **values)
    rows.log(*(types or ("job.failed",)))
    rows.match(key)
    return key


def secret_of(rows: Rows, key: Key, *, salt: str = "salt") -> str:
    """Compute a webhook's secret as its owner was shown it."""
    tenant_key = rows.run(keys.get_or_create, tenant_id=key.tenant_id, config=CONFIG)
    return signatures.to_text(signatures.compute_secret(tenant_key, webhook_id=key.webhook_id, salt=salt))


def error_of(rows: Rows, key: Key) -> str:
    """Read why the attempt failed."""
    [row] = rows.deliveries(key)
    assert (row.state, row.attempts) == ("pending", 1)
    return str(row.error)


def test_a_receiver_gets_each_event_signed_on_one_connection(rows: Rows, receiver: Receiver) -> None:
    key = hook(rows, receiver.url + "?of=me", "job.failed", "job.succeeded")
    deliver_due(rows)
    assert [(row.state, row.status, row.attempts) for row in rows.deliveries(key)] == [("delivered", 200, 1)] * 2
    assert receiver.ids() == [row.event_id for row in rows.deliveries(key)]
    assert receiver.connections == 1
    for got in receiver.received:
        assert got.is_signed_with(secret_of(rows, key))
        assert not got.is_signed_with(secret_of(rows, key, salt="other"))
        assert got.headers["content-type"] == "application/cloudevents+json"
        assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
        assert got.headers["user-agent"].startswith("Millrace/")
        assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert got.path == "/hook?of=me"
        assert got.event["id"] == got.id
        assert got.event["specversion"] == "1.0"
    deliver_due(rows)
    assert len(receiver.received) == 2


def test_what_failed_is_sent_again_with_the_same_id_and_body_and_a_new_time(
    sqlite_rows: Rows, receiver: Receiver
) -> None:
    key = hook(sqlite_rows, receiver.url)
    receiver.answers = [Answer(500)]
    deliver_due(sqlite_rows)
    assert error_of(sqlite_rows, key) == "The receiver answered 500."
    deliver_due(sqlite_rows)
    assert len(receiver.received) == 1, "its time has not come"
    [row] = sqlite_rows.deliveries(key)
    sqlite_rows.change(DELIVERIES, row.id, due_at=0)
    deliver_due(sqlite_rows)
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert second.is_signed_with(secret_of(sqlite_rows, key))
    assert sqlite_rows.deliveries(key)[0].state == "delivered"


def test_while_a_secret_is_replaced_both_sign(sqlite_rows: Rows, receiver: Receiver) -> None:
    until = sqlite_rows.now() + 60_000
    key = hook(sqlite_rows, receiver.url, earlier_salts=[{"salt": "old", "until": until}])
    deliver_due(sqlite_rows)
    [got] = receiver.received
    assert got.headers["webhook-signature"].count("v1,") == 2
    assert got.is_signed_with(secret_of(sqlite_rows, key))
    assert got.is_signed_with(secret_of(sqlite_rows, key, salt="old"))


def test_a_redirect_is_a_failure_and_nobody_follows_it(sqlite_rows: Rows, receiver: Receiver) -> None:
    key = hook(sqlite_rows, receiver.url)
    receiver.answers = [Answer(307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})]
    deliver_due(sqlite_rows)
    assert "answered 307" in error_of(sqlite_rows, key)
    assert [got.path for got in receiver.received] == ["/hook"]


def test_410_and_429_stop_what_else_is_due(rows: Rows, receiver: Receiver) -> None:
    gone = hook(rows, receiver.url, "job.failed", "job.failed")
    receiver.answers = [Answer(410)]
    deliver_due(rows)
    assert rows.webhook(gone).state == "disabled"
    slow = hook(rows, receiver.url, "job.dead", "job.dead", "job.dead")
    receiver.answers = [Answer(429, {"Retry-After": "100"})]
    deliver_due(rows)
    assert len(receiver.received) == 2
    assert 90_000 < rows.webhook(slow).paused_until - rows.now() <= 100_000
    rows.change(WEBHOOKS, slow.webhook_id, paused_until=0)
    deliver_due(rows)
    assert len(receiver.received) > 2


@pytest.mark.parametrize("answer", [Answer(hangs=True), Answer(drips=True)])
def test_who_hangs_or_drips_is_left_in_time_and_delays_nobody(
    sqlite_rows: Rows, receiver: Receiver, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "SECONDS", 1.0)
    rows = sqlite_rows
    hanging = hook(rows, receiver.url)
    receiver.answers = [answer]
    deliverer = deliver.Deliverer(rows.engines, config=ALLOWED)
    [thread] = deliverer.start_due()
    while not receiver.received:
        time.sleep(0.005)
    with Receiver() as other:
        fine = hook(rows, other.url, "job.succeeded")
        started = deliverer.start_due()
        for each in started:
            each.join(timeout=10)
        assert rows.deliveries(fine)[-1].state == "delivered"
        assert thread.is_alive(), "the one that hangs still does"
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert "longer than 1 s" in rows.deliveries(hanging)[0].error


def test_of_a_long_answer_only_the_beginning_is_read_and_its_status_counts(
    sqlite_rows: Rows, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "SECONDS", 1.0)
    key = hook(sqlite_rows, receiver.url, "job.failed", "job.failed")
    receiver.answers = [Answer(200, body_bytes=100_000, endless=True), Answer(200, body_bytes=10, endless=True)]
    deliver_due(sqlite_rows)
    assert [row.state for row in sqlite_rows.deliveries(key)] == ["delivered"] * 2


def test_a_deliverer_that_is_killed_leaves_a_delivery_that_another_one_sends_with_the_same_id(
    rows: Rows, receiver: Receiver
) -> None:
    key = hook(rows, receiver.url)
    killed = rows.take(key)
    deliver_due(rows)
    assert receiver.received == [], "its lease is not over"
    rows.change(DELIVERIES, killed.id, leased_until=rows.now() - 1, due_at=rows.now() - 1)
    deliver_due(rows)
    assert receiver.ids() == [killed.event_id]


def test_two_deliverers_at_once_send_each_delivery_once(rows: Rows, receiver: Receiver) -> None:
    key = hook(rows, receiver.url, *["job.failed"] * 20)
    deliverers = [deliver.Deliverer(rows.engines, config=ALLOWED) for _ in range(2)]
    begin = threading.Barrier(2)
    threads: list[threading.Thread] = []

    def start(deliverer: deliver.Deliverer) -> None:
        begin.wait()
        threads.extend(deliverer.start_due())

    starting = [threading.Thread(target=start, args=(each,)) for each in deliverers]
    for each in starting:
        each.start()
    for each in starting:
        each.join()
    for each in threads:
        each.join(timeout=30)
    assert sorted(receiver.ids()) == sorted(row.event_id for row in rows.deliveries(key))
    assert len(set(receiver.ids())) == 20


def test_a_certificate_is_checked_by_the_hosts_name_though_the_connection_is_made_by_address(
    sqlite_rows: Rows, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, context = certificates.authority(tmp_path, host="hooks.intranet")
    config = CONFIG.model_copy(update={"webhook_allow_hosts": ("hooks.intranet", "other.intranet")})
    with Receiver(tls=context) as receiver:
        hosts = ("hooks.intranet", "other.intranet", "hooks.intranet")
        good, wrong, untrusted = (hook(sqlite_rows, f"https://{host}:{receiver.port}/") for host in hosts)
        sqlite_rows.change(WEBHOOKS, untrusted.webhook_id, state="disabled")
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
        deliver_due(sqlite_rows, config=config, resolve=lambda _host, _port: ["127.0.0.1"])
        assert [row.state for row in sqlite_rows.deliveries(good)] == ["delivered"]
        assert "no valid certificate" in sqlite_rows.deliveries(wrong)[0].error
        monkeypatch.delenv("SSL_CERT_FILE")
        sqlite_rows.change(WEBHOOKS, untrusted.webhook_id, state="enabled")
        deliver_due(sqlite_rows, config=config, resolve=lambda _host, _port: ["127.0.0.1"])
        assert "no valid certificate" in sqlite_rows.deliveries(untrusted)[0].error
        assert [got.headers["host"] for got in receiver.received] == [f"hooks.intranet:{receiver.port}"]


def test_an_event_that_the_log_no_longer_has_fails_for_good(sqlite_rows: Rows, receiver: Receiver) -> None:
    key = hook(sqlite_rows, receiver.url)
    [row] = sqlite_rows.deliveries(key)
    sqlite_rows.change(DELIVERIES, row.id, event_id="gone")
    deliver_due(sqlite_rows)
    [row] = sqlite_rows.deliveries(key)
    assert (row.state, receiver.received) == ("failed", [])
    assert "no longer has" in row.error
    assert sqlite_rows.webhook(key).failing_since is None, "the receiver has nothing to do with it"


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "fd00:ec2::254", "fe80::1", "2002:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_host_that_leads_inside_gets_nothing_whatever_else_it_leads_to(
    sqlite_rows: Rows, receiver: Receiver, address: str
) -> None:
    key = hook(sqlite_rows, f"https://hooks.example.org:{receiver.port}/")
    resolve: network.Resolve = lambda _host, _port: ["93.184.216.34", address]  # noqa: E731
    deliver_due(sqlite_rows, config=CONFIG, resolve=resolve)
    error = error_of(sqlite_rows, key)
    assert "not on the public internet" in error
    assert "MILLRACE_WEBHOOK_ALLOW_HOSTS" in error
    assert address not in error
    assert receiver.connections == 0


def test_without_tls_only_allowed_hosts_are_sent_to(sqlite_rows: Rows) -> None:
    key = hook(sqlite_rows, "http://hooks.example.org/")
    deliver_due(sqlite_rows, resolve=lambda _host, _port: ["93.184.216.34"])
    assert "only connected to by https" in error_of(sqlite_rows, key)


def test_a_name_is_looked_up_once_and_connected_to_as_looked_up(sqlite_rows: Rows, receiver: Receiver) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        # Rebinding: whoever asks a second time is led to another place.
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    key = hook(sqlite_rows, f"http://hooks.intranet:{receiver.port}/hook")
    config = CONFIG.model_copy(update={"webhook_allow_hosts": ("hooks.intranet",)})
    deliver_due(sqlite_rows, config=config, resolve=resolve)
    assert sqlite_rows.deliveries(key)[0].state == "delivered"
    assert asked == ["hooks.intranet"]
    assert receiver.received[0].headers["host"] == f"hooks.intranet:{receiver.port}"


def test_a_look_up_that_hangs_ends_in_time(sqlite_rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "SECONDS", 0.2)
    over = threading.Event()
    key = hook(sqlite_rows, "https://hooks.example.org/")
    try:
        deliver_due(sqlite_rows, resolve=lambda _host, _port: [str(over.wait(30))])
        assert "looked up in time" in error_of(sqlite_rows, key)
    finally:
        over.set()


def test_one_tenant_takes_no_more_than_its_share_of_the_threads(
    sqlite_rows: Rows, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "SECONDS", 1.0)
    for _ in range(deliver.MAX_PER_TENANT + 2):
        hook(sqlite_rows, receiver.url)
    receiver.answers = [Answer(hangs=True)] * 10
    threads = deliver.Deliverer(sqlite_rows.engines, config=ALLOWED).start_due()
    assert len(threads) == deliver.MAX_PER_TENANT
    for thread in threads:
        thread.join(timeout=10)
