"""The publisher thread: rings doorbells after the commit, while no request waits for the broker."""

import collections
import contextlib
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any

import prometheus_client
import structlog

from shared import settings
from shared.jobs import ledger
from shared.queues import broker, confirms

_log = structlog.get_logger()
_MOST_WAITING = 50_000
_MOST_AT_ONCE = 500
_MOST_UNCONFIRMED = 2_000
_LONGEST_PAUSE_SECONDS = 5.0
_IDLE_SECONDS = 0.5

RUNG = prometheus_client.Counter("millrace_doorbells_rung_total", "Doorbells that the broker took.")
DROPPED = prometheus_client.Counter(
    "millrace_doorbells_dropped_total", "Doorbells left to the sweeper, because the broker was away for too long."
)


class Ringer:
    """Rings in a thread of its own, with a channel of its own, and counts what the broker confirms.

    A doorbell may be lost: the sweeper rings again. So the ringer never makes a caller wait, and when
    the broker is away for long it drops what it can't hold.
    """

    def __init__(self, config: settings.Settings) -> None:
        """Remember where the broker is; the thread starts with the first doorbell."""
        self._config = config
        self._amqp = broker.is_amqp(config)
        self._waiting: queue.SimpleQueue[ledger.Doorbell] = queue.SimpleQueue()
        self._confirms: confirms.Confirms[ledger.Doorbell] | None = None
        self._in_hand: collections.deque[ledger.Doorbell] = collections.deque()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.connected = False

    def ring(self, bells: Iterable[ledger.Doorbell]) -> None:
        """Take doorbells to ring; never waits and never fails."""
        for bell in bells:
            if self._waiting.qsize() >= _MOST_WAITING:
                DROPPED.inc()
                continue
            self._waiting.put(bell)
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
                self._thread.start()

    def stop(self, *, seconds: float = 2.0) -> None:
        """Ring what waits, within a time, and stop."""
        limit = time.monotonic() + seconds
        while self.connected and self._unsettled() and time.monotonic() < limit:
            time.sleep(0.02)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            connection = broker.connect(self._config)
            try:
                channel = self._open(connection)
                self.connected, pause = True, 0.1
                self._serve(connection, channel)
            except Exception as fault:  # noqa: BLE001 - whatever the broker does, the thread goes on.
                _log.warning("broker_connection_failed", error=type(fault).__name__, pause_seconds=pause)
            self.connected = False
            broker.hang_up(connection, config=self._config)
            self._in_hand.extendleft(reversed(self._outstanding().values()))
            self._confirms = None
            self._stopping.wait(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _open(self, connection: Any) -> Any:
        channel = connection.channel()
        broker.declare(channel, config=self._config)
        if self._amqp:
            self._confirms = confirms.Confirms(channel, on_ack=lambda _bell: RUNG.inc(), on_nack=self._in_hand.append)
        return channel

    def _serve(self, connection: Any, channel: Any) -> None:
        while not self._stopping.is_set():
            # A broker that confirms nothing is under an alarm: more would only fill its buffers, and then ours.
            if len(self._outstanding()) < _MOST_UNCONFIRMED:
                self._gather()
                while self._in_hand:
                    self._publish(channel, self._in_hand[0])
                    self._in_hand.popleft()
            if self._amqp:
                connection.heartbeat_check()
                self._collect(connection, seconds=1.0 if len(self._outstanding()) >= _MOST_UNCONFIRMED else 0.001)

    def _unsettled(self) -> bool:
        return bool(self._waiting.qsize() or self._in_hand or self._outstanding())

    def _outstanding(self) -> dict[int, ledger.Doorbell]:
        return self._confirms.outstanding if self._confirms else {}

    def _gather(self) -> None:
        """Take bells in hand; those that an earlier connection did not get rid of are there already."""
        with contextlib.suppress(queue.Empty):
            # Confirms that are outstanding are looked for soon; else the thread sleeps until it is needed.
            wait = 0.005 if self._outstanding() else _IDLE_SECONDS
            if not self._in_hand:
                self._in_hand.append(self._waiting.get(timeout=wait))
            while len(self._in_hand) < _MOST_AT_ONCE:
                self._in_hand.append(self._waiting.get_nowait())

    def _publish(self, channel: Any, bell: ledger.Doorbell) -> None:
        if self._confirms is not None:
            self._confirms.add(bell)
            broker.ring(channel, bell, amqp=True)
            return
        broker.ring(channel, bell, amqp=False)
        RUNG.inc()

    def _collect(self, connection: Any, *, seconds: float) -> None:
        """Take in confirms until none is outstanding or the time is over; and the broker's heartbeats, always."""
        limit = time.monotonic() + seconds
        is_first = True
        while is_first or self._outstanding():
            is_first = False
            try:
                connection.drain_events(timeout=max(0.001, limit - time.monotonic()))
            except TimeoutError:
                return
