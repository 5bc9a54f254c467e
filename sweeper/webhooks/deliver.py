"""Delivers to webhooks, in threads that nothing else waits for: one receiver that hangs delays no other one.

Any number of sweepers may do so at once: each delivery is leased to one of them. docs/decisions/webhooks.md, "The
sweeper delivers, in threads of its own".
"""

import collections
import random
import threading
import time

import httpcore
import prometheus_client
import structlog

from shared import database, settings, watchdog
from shared.outbound import addresses, network, posting
from shared.webhooks import deliveries, health
from shared.webhooks.deliveries import Leased
from shared.webhooks.matching import Key
from shared.webhooks.schedule import Outcome
from sweeper.webhooks import attempt

_log = structlog.get_logger()
_SECONDS = 0.5
_END_SECONDS = 4.0
"""How long deliveries that are under way may take to end when the sweeper stops."""
MAX_THREADS = 16
MAX_PER_TENANT = 4
_TURN_SECONDS = 10.0
"""After how long a thread begins nothing more, so that another webhook gets its turn."""

ATTEMPTS = prometheus_client.Counter(
    "millrace_webhook_attempts_total", "Attempts to deliver an event to a webhook.", ["outcome"]
)
SECONDS = prometheus_client.Histogram("millrace_webhook_attempt_seconds", "How long attempts took.")
DISABLED = prometheus_client.Counter(
    "millrace_webhooks_disabled_total", "Webhooks that were disabled because nothing reaches them."
)


class Deliverer:
    """Looks for what is due, and lets a thread attempt it."""

    def __init__(
        self, engines: database.Engines, *, config: settings.Settings, resolve: network.Resolve = network.resolve
    ) -> None:
        """Deliver what stands in the API's database; raises PermanentError for hosts in the settings that are none."""
        self._engines = engines
        self._config = config
        self._resolve = resolve
        self._allowlist = addresses.Allowlist.parse(config.webhook_allow_hosts, setting="MILLRACE_WEBHOOK_ALLOW_HOSTS")
        self._tls = httpcore.default_ssl_context()
        self._lock = threading.Lock()
        self._running: collections.Counter[Key] = collections.Counter()
        self._stopping = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set; what doesn't end soon then is delivered again when its lease is over."""
        self._stopping = stopping
        watched = watchdog.of_process().watch("webhooks")
        while not stopping.is_set():
            watched.turn()
            try:
                self.start_due()
            except Exception as error:  # noqa: BLE001 - a thread that ended would leave all webhooks without anything.
                _log.warning("webhooks_not_read", error=type(error).__name__)
            watched.rest()
            stopping.wait(_SECONDS)
        watched.end()
        self._await_running()

    def _await_running(self) -> None:
        """Let what is under way end, so that its lease need not; not for as long as a receiver may hang."""
        limit = time.monotonic() + _END_SECONDS
        while self._running.total() and time.monotonic() < limit:
            time.sleep(0.01)

    def start_due(self) -> list[threading.Thread]:
        """Start a thread for each webhook that has something due, as far as there is room; returns them."""
        with self._engines.statements.connect() as connection:
            due = deliveries.list_due(connection)
        # Whoever finds no room now has the same chance as all others the next time.
        random.shuffle(due)
        # Those of tenants whose receivers keep many threads come last.
        with self._lock:
            threads = collections.Counter[str]()
            for key, count in self._running.items():
                threads[key.tenant_id] += count
        due.sort(key=lambda key: threads[key.tenant_id])
        started = []
        for key in due:
            if self._take_place(key):
                thread = threading.Thread(target=self._work, args=(key,), name="webhook", daemon=True)
                thread.start()
                started.append(thread)
        return started

    def _take_place(self, key: Key) -> bool:
        with self._lock:
            of_tenant = sum(count for each, count in self._running.items() if each.tenant_id == key.tenant_id)
            if (
                self._running.total() >= MAX_THREADS
                or of_tenant >= MAX_PER_TENANT
                or self._running[key] >= deliveries.MAX_AT_ONCE
            ):
                return False
            self._running[key] += 1
            return True

    def _work(self, key: Key) -> None:
        try:
            self._deliver(key)
        except Exception as error:  # noqa: BLE001 - what is not written down is delivered again after its lease.
            _log.warning("webhook_delivery_broken_off", webhook=key.webhook_id, error=type(error).__name__)
        finally:
            with self._lock:
                self._running[key] -= 1
                # Without those that are at rest.
                self._running += collections.Counter()

    def _deliver(self, key: Key) -> None:
        """Deliver one after the other, on one connection, until nothing is due or the turn is over."""
        until = time.monotonic() + _TURN_SECONDS
        leased = self._lease(key)
        while leased is not None:
            url = leased.url
            with posting.Poster(url, allowlist=self._allowlist, tls=self._tls, resolve=self._resolve) as poster:
                while leased is not None and leased.url == url:
                    self._attempt(poster, leased)
                    over = self._stopping.is_set() or time.monotonic() > until
                    leased = None if over else self._lease(key)

    def _lease(self, key: Key) -> Leased | None:
        with self._engines.transactions.begin() as connection:
            return deliveries.lease(connection, key, config=self._config)

    def _attempt(self, poster: posting.Poster, leased: Leased) -> None:
        with SECONDS.time():
            outcome = attempt.make(poster, leased)
        ATTEMPTS.labels(_label(outcome)).inc()
        with self._engines.transactions.begin() as connection:
            ended = health.end_attempt(connection, leased, outcome)
        if outcome.error is not None:
            _log.info("webhook_attempt_failed", delivery=leased.id, state=ended.state, status=outcome.status)
        if ended.has_disabled:
            DISABLED.inc()
            _log.warning("webhook_disabled", webhook=leased.key.webhook_id, status=outcome.status)


def _label(outcome: Outcome) -> str:
    if outcome.error is None:
        return "delivered"
    return "refused" if outcome.status is not None else "no_answer"
