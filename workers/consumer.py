"""A worker's consumer: it accepts doorbells only, makes sure that it listens, and waits for no broker without a limit.

Other messages are rejected to RabbitMQ's dead letters. docs/decisions/workers.md, "The worker's consumer refuses all
but doorbells", and docs/decisions/queues.md, "A worker makes sure that it listens".
"""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from celery.utils import threads
from celery.utils.dispatch import Signal
from celery.utils.log import get_logger
from celery.worker import consumer, state
from celery.worker.consumer import connection, control, heart, tasks
from celery.worker.consumer.consumer import Evloop

from shared import settings
from shared.queues import broker
from workers import flower_events, loop_watch

_log = structlog.get_logger()
_FLUSH_SECONDS = 0.25
_CHECK_SECONDS = 5.0
_MAX_CHECKS_WITHOUT_CONSUMER = 2
_FIRST_PAUSE_SECONDS = 0.25
_PAUSE_STEP_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0
_LOG_AGAIN_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_UNUSED_HEADERS = ("eta", "expires", "group", "chord")
"""Celery's headers that a doorbell leaves empty: what they make a worker keep in memory would be lost with it."""

starting = Signal(name="consumer_starting")
"""Sent by a worker's consumer before it connects for the first time."""


class _Heart(heart.Heart):  # type: ignore[misc]  # Celery ships no types.
    requires = (flower_events.Events,)


class _Tasks(tasks.Tasks):  # type: ignore[misc]
    requires = (flower_events.Events,)


class _Control(control.Control):  # type: ignore[misc]
    requires = (_Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.start = self._start
        self._mailbox = self.box.node.mailbox

    def _start(self, consumer: Any) -> None:
        # RabbitMQ lets nobody else have an exclusive queue for as long as it takes the connection before for alive.
        self.box.node.mailbox = _Mailbox(self._mailbox, suffix=secrets.token_hex(4))
        self.box.start(consumer)


class _Mailbox:
    """A mailbox of Celery's, whose node has a queue with a name that nobody has had before."""

    def __init__(self, mailbox: Any, *, suffix: str) -> None:
        self._mailbox = mailbox
        self._suffix = suffix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mailbox, name)

    def get_queue(self, hostname: str) -> Any:
        return self._mailbox.get_queue(f"{hostname}.{self._suffix}")


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's consumer, which here checks each message first, and its own connection again and again.

    Celery acknowledges what it can't decode, and so loses it; and it waits without a limit for a broker that has gone
    silent.
    """

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The parts of Celery's consumer that a worker needs: no mingle, no gossip, no delayed delivery."""

        default_steps = (connection.Connection, flower_events.Events, _Heart, _Tasks, _Control, Evloop)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Create the consumer; it connects when it is started."""
        self.note_listening: Callable[[], None] = lambda: None
        """Called a few times a second while the consumer listens; set by whoever wants to know."""
        self.cancel_job: Callable[[str], bool] = lambda _job_id: False
        """Cancels a job if it is of this worker's roles, and returns whether it is; set by the worker's application."""
        self.watch = loop_watch.LoopWatch(cut=self._cut)
        self._config = settings.load()
        self._timers: list[Any] = []
        self._checks_without_consumer = 0
        self._next_log = 0.0
        super().__init__(*arguments, **named)

    def start(self) -> None:
        """Listen until the worker stops."""
        if self.restart_count < 0:
            for _, answer in starting.send(sender=self):
                # Celery has logged it, and would go on.
                if isinstance(answer, Exception):
                    raise answer
            self.watch.start()
        super().start()

    def send_to_flower(self, name: str, fields: dict[str, Any]) -> None:
        """Send an event soon; any thread may call it."""
        if self.event_dispatcher is not None:
            self.event_dispatcher.send(name, **fields)

    def stop(self) -> None:
        """Stop listening; a broker that no longer answers is not waited for."""
        self._drop_if_silent()
        super().stop()

    def shutdown(self) -> None:
        """Close what is open; a broker that no longer answers is not waited for."""
        self._drop_if_silent()
        super().shutdown()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes; return the connection."""

        def keep_trying() -> None:
            self.watch.note_turn()
            state.maybe_shutdown()

        conn.ensure_connection(
            self._note_failure,
            interval_start=_FIRST_PAUSE_SECONDS,
            interval_step=_PAUSE_STEP_SECONDS,
            interval_max=_LONGEST_PAUSE_SECONDS,
            callback=keep_trying,
        )
        self.first_connection_attempt = False
        self._next_log = 0.0
        return conn

    def _note_failure(self, error: Exception, _pause_seconds: float) -> None:
        if time.monotonic() >= self._next_log:
            self._next_log = time.monotonic() + _LOG_AGAIN_SECONDS
            _log.warning("broker_connection_failed", error=type(error).__name__)

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """Wrap Celery's handler of messages so that it gets doorbells only."""
        handle = super().create_task_handler(*arguments, **named)
        for timer in self._timers:
            timer.cancel()
        self._checks_without_consumer = 0
        self._timers = [
            self.hub.call_repeatedly(_FLUSH_SECONDS, self._flush),
            self.hub.call_repeatedly(_CHECK_SECONDS, self._check),
        ]

        def on_message(message: Any) -> None:
            problem = find_problem(message, tasks=self.strategies)
            if problem is None:
                handle(message)
            else:
                self._refuse(message, problem)

        return on_message

    def on_send_event_buffered(self) -> None:
        """Leave events for Flower in the buffer; Celery would send them in every round of its loop."""

    def _flush(self) -> None:
        """Send the buffered events for Flower, and tell that the loop turns; called a few times a second."""
        self.watch.note_turn()
        self.note_listening()
        self._flush_events()

    def _check(self) -> None:
        """Ask the broker for the consumers of this worker's queues; raise ConnectionError, so that it connects anew.

        The broker's answer shows that the connection isn't silent, too.
        """
        try:
            channel = self.task_consumer.channel
            queues = {
                queue.name: broker.look(channel, queue.name, config=self._config) for queue in self.task_consumer.queues
            }
        except Exception as error:
            raise ConnectionResetError(f"the broker doesn't answer: {type(error).__name__}") from error
        alone = [name for name, queue in queues.items() if queue.consumers == 0]
        self._checks_without_consumer = self._checks_without_consumer + 1 if alone else 0
        if self._checks_without_consumer >= _MAX_CHECKS_WITHOUT_CONSUMER:
            raise ConnectionResetError(f"the broker has no consumer for {', '.join(alone)}")

    def _cut(self) -> None:
        """End whatever wait for the broker the loop may be in; called by another thread."""
        connected = self.connection
        for opened in threads._open_broker_sockets(connected) if connected is not None else ():
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def _drop_if_silent(self) -> None:
        connected = self.connection
        if connected is None:
            return
        threads.bound_open_broker_sockets(connected, _CLOSE_SECONDS)
        try:
            broker.look(self.task_consumer.channel, self.task_consumer.queues[0].name, config=self._config)
        except Exception as error:  # noqa: BLE001 - each transport raises errors of its own.
            _log.info("broker_connection_dropped", error=type(error).__name__)
            broker.disconnect(connected, config=self._config)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message that can't be decoded, where Celery would acknowledge it."""
        self._refuse(message, type(exc).__name__)

    def _refuse(self, message: Any, problem: str) -> None:
        _log.warning("message_refused", problem=problem, content_type=str(message.content_type)[:100])
        message.reject_log_error(get_logger(__name__), self.connection_errors)


def find_problem(message: Any, *, tasks: Any) -> str | None:
    """Return why a message is no doorbell for any of some tasks, in a word or two; None when it is one."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    if message.content_type != "application/json":
        return "content type"
    if headers.get("task") not in tasks:
        return "unknown task"
    if not isinstance(headers.get("id"), str) or any(headers.get(name) for name in _UNUSED_HEADERS):
        return "headers"
    try:
        body = orjson.loads(message.body)
    except (orjson.JSONDecodeError, TypeError):
        return "body"
    return None if _is_doorbell(body) else "doorbell"


def _is_doorbell(body: Any) -> bool:
    match body:
        case [[], {"v": 1, "job_id": str(), **rest}, dict()]:
            return not rest
    return False
