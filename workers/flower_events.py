"""Sends Celery's events, for Flower, in a thread of its own: a broker that takes none must not hold up the worker.

docs/decisions/queues.md, "Events for Flower never hold up a worker".
"""

import collections
import contextlib
import threading
from typing import Any

import kombu
import structlog
from celery import bootsteps
from celery.events import dispatcher
from celery.worker.consumer.connection import Connection

from shared import settings
from shared.queues import broker

_log = structlog.get_logger()
_MAX_WAITING = 1000
_MAX_BUFFERED = 1000
_IDLE_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
_CLOSE_SECONDS = 2.0


class Dispatcher(dispatcher.EventDispatcher):  # type: ignore[misc]  # Celery ships no types.
    """Celery's dispatcher, which leaves publishing to a thread; what the broker doesn't take is dropped."""

    def __init__(self, app: Any, *, hostname: str, config: settings.Settings) -> None:
        """Start the thread; the events of tasks are sent only when `flush` is called."""
        self._config = config
        self._waiting: collections.deque[tuple[Any, str]] = collections.deque(maxlen=_MAX_WAITING)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        super().__init__(app=app, hostname=hostname, buffer_group=["task"], buffer_limit=_MAX_BUFFERED)
        self._thread = threading.Thread(target=self._run, name="flower-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, for a short while, and end the thread."""
        self.flush()
        self.close()
        self._stopping.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS)

    def _publish(self, event: Any, _producer: Any, routing_key: str, **_: Any) -> None:
        self._waiting.append((event, routing_key))
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection = broker.connect(self._config)
            try:
                producer = kombu.Producer(
                    broker.open_channel(connection), serializer=self.serializer, auto_declare=False
                )
                self.exchange(producer.channel).declare()
                self._send_until_stopped(connection, producer)
            except Exception as error:  # noqa: BLE001 - whatever the broker does, the thread continues.
                _log.info("flower_events_dropped", error=type(error).__name__, waiting=len(self._waiting))
                self._waiting.clear()
            broker.disconnect(connection, config=self._config)
            self._stopping.wait(_PAUSE_SECONDS)

    def _send_until_stopped(self, connection: kombu.Connection, producer: kombu.Producer) -> None:
        while not self._stopping.is_set() or self._waiting:
            self._wake.wait(_IDLE_SECONDS)
            self._wake.clear()
            while self._waiting:
                event, routing_key = self._waiting.popleft()
                producer.publish(
                    event,
                    exchange=self.exchange.name,
                    routing_key=routing_key,
                    headers=self.headers,
                    delivery_mode=self.delivery_mode,
                )
            if broker.is_amqp(self._config):
                connection.heartbeat_check()
                # Reads the broker's heartbeats.
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.001)


class Events(bootsteps.StartStopStep):  # type: ignore[misc]
    """The consumer's step that makes the dispatcher, once; it outlives the consumer's connections."""

    requires = (Connection,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        """Make no dispatcher yet."""
        consumer.event_dispatcher = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        """Make the dispatcher, if there is none yet."""
        if consumer.event_dispatcher is None:
            consumer.event_dispatcher = Dispatcher(consumer.app, hostname=consumer.hostname, config=settings.load())

    def stop(self, consumer: Any) -> None:
        """Keep the dispatcher, while the consumer connects anew."""

    def shutdown(self, consumer: Any) -> None:
        """Send what waits, and stop."""
        if consumer.event_dispatcher is not None:
            consumer.event_dispatcher.stop()
