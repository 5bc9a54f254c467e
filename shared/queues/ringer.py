"""The publisher thread: rings doorbells after the commit, so that no request waits for the broker."""

import collections
import contextlib
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any

import prometheus_client
import structlog

from shared import settings, watchdog
from shared.jobs import ledger
from shared.queues import broker, confirms

_log = structlog.get_logger()
_MAX_WAITING = 50_000
_MAX_BATCH = 100
"""So few that the sockets' buffers take them even when RabbitMQ, under an alarm, reads nothing more."""
_MAX_UNCONFIRMED = 2_000
_MAX_PAUSE_SECONDS = 5.0
_IDLE_SECONDS = 0.5

RUNG = prometheus_client.Counter("millrace_doorbells_rung_total", "Doorbells that the broker took.")
DROPPED = prometheus_client.Counter(
    "millrace_doorbells_dropped_total", "Doorbells left to the sweeper, because the broker was away for too long."
)


class Ringer:
    """Rings in a thread of its own, on a channel of its own, and counts what the broker confirms.

    A doorbell may be lost, because the sweeper rings again. So the ringer never makes a caller wait, and when
    the broker is down for long it drops what it can't hold.
    """

    def __init__(self, config: settings.Settings) -> None:
        """Keep the broker's settings; the thread starts with the first doorbell."""
        self._config = config
        self._amqp = broker.is_amqp(config)
        self._waiting: queue.SimpleQueue[ledger.Doorbell] = queue.SimpleQueue()
        self._confirms: confirms.Confirms[ledger.Doorbell] | None = None
        self._to_publish: collections.deque[ledger.Doorbell] = collections.deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._is_blocked = False
        self.connected = False

    def ring(self, doorbells: Iterable[ledger.Doorbell]) -> None:
        """Accept doorbells to be rung; never waits and never fails."""
        for doorbell in doorbells:
            if self._waiting.qsize() >= _MAX_WAITING:
                DROPPED.inc()
                continue
            self._waiting.put(doorbell)
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
                self._thread.start()

    def stop(self, *, seconds: float = 2.0) -> None:
        """Ring the waiting doorbells, for at most `seconds`, and stop."""
        limit = time.monotonic() + seconds
        while self.connected and self._has_unfinished() and time.monotonic() < limit:
            time.sleep(0.02)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        pause = 0.1
        watched = watchdog.of_process().watch("ringer")
        while not self._stopping.is_set():
            watched.turn()
            self._is_blocked = False
            connection = broker.connect(self._config, on_blocked=self._note_blocked)
            try:
                channel = self._open_channel(connection)
                self.connected, pause = True, 0.1
                self._publish_until_stopped(connection, channel, watched=watched)
            except Exception as error:  # noqa: BLE001 - whatever the broker does, the thread continues.
                _log.warning("broker_connection_failed", error=type(error).__name__, pause_seconds=pause)
            self.connected = False
            broker.disconnect(connection, config=self._config)
            self._to_publish.extendleft(reversed(self._unconfirmed().values()))
            self._confirms = None
            self._stopping.wait(pause)
            pause = min(_MAX_PAUSE_SECONDS, pause * 2)
        watched.end()

    def _note_blocked(self, is_blocked: bool) -> None:  # noqa: FBT001 - the broker's callback.
        self._is_blocked = is_blocked

    def _open_channel(self, connection: Any) -> Any:
        channel = broker.open_declared_channel(connection, config=self._config)
        if self._amqp:
            self._confirms = confirms.Confirms(
                channel, on_ack=lambda _doorbell: RUNG.inc(), on_nack=self._to_publish.append
            )
        return channel

    def _publish_until_stopped(self, connection: Any, channel: Any, *, watched: watchdog.Watched) -> None:
        while not self._stopping.is_set():
            watched.turn()
            # A broker under an alarm confirms nothing: publishing more would only fill its buffers and ours.
            if not self._is_full():
                self._take_waiting()
                while self._to_publish:
                    self._publish(channel, self._to_publish[0])
                    self._to_publish.popleft()
            if self._amqp:
                connection.heartbeat_check()
                self._receive_confirms(connection, seconds=1.0 if self._is_full() else 0.001)

    def _is_full(self) -> bool:
        return self._is_blocked or len(self._unconfirmed()) >= _MAX_UNCONFIRMED

    def _has_unfinished(self) -> bool:
        return bool(self._waiting.qsize() or self._to_publish or self._unconfirmed())

    def _unconfirmed(self) -> dict[int, ledger.Doorbell]:
        return self._confirms.outstanding if self._confirms else {}

    def _take_waiting(self) -> None:
        """Take waiting doorbells to publish, unless some are left over from an earlier connection."""
        with contextlib.suppress(queue.Empty):
            # With confirms outstanding, look for them soon; otherwise sleep until there is a doorbell.
            wait = 0.005 if self._unconfirmed() else _IDLE_SECONDS
            if not self._to_publish:
                self._to_publish.append(self._waiting.get(timeout=wait))
            while len(self._to_publish) < _MAX_BATCH:
                self._to_publish.append(self._waiting.get_nowait())

    def _publish(self, channel: Any, doorbell: ledger.Doorbell) -> None:
        if self._confirms is not None:
            self._confirms.add(doorbell)
            broker.ring(channel, doorbell, amqp=True)
            return
        broker.ring(channel, doorbell, amqp=False)
        RUNG.inc()

    def _receive_confirms(self, connection: Any, *, seconds: float) -> None:
        """Receive confirms until none is outstanding or the time is over; always read once, for the heartbeats."""
        limit = time.monotonic() + seconds
        is_first = True
        while is_first or self._unconfirmed():
            is_first = False
            try:
                connection.drain_events(timeout=max(0.001, limit - time.monotonic()))
            except TimeoutError:
                return
