"""A worker's consumer that accepts doorbells only: other messages are rejected to RabbitMQ's dead letters.

docs/decisions/workers.md, "The worker's consumer refuses all but doorbells".
"""

import collections
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from celery.utils.log import get_logger
from celery.worker import consumer

_log = structlog.get_logger()
_FLUSH_SECONDS = 0.25
_MAX_BUFFERED_EVENTS = 1000
_MAX_FLOWER_EVENTS = 10_000
_UNUSED_HEADERS = ("eta", "expires", "group", "chord")
"""Celery's headers that a doorbell leaves empty: what they make a worker keep in memory would be lost with it."""


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery ships no types.
    """Checks each message before Celery does, because Celery acknowledges what it can't decode, and so loses it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin without events for Flower."""
        self.flower_events: collections.deque[tuple[str, dict[str, Any]]] = collections.deque(maxlen=_MAX_FLOWER_EVENTS)
        """Events for Flower of jobs without a message of their own; other threads append, Celery's loop sends."""
        self._flushing: Any = None
        super().__init__(*arguments, **named)

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """Wrap Celery's handler of messages so that it gets doorbells only."""
        handle = super().create_task_handler(*arguments, **named)
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing = self.hub.call_repeatedly(_FLUSH_SECONDS, self._flush)

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
        """Send the buffered events for Flower; called a few times a second."""
        dispatcher = self.event_dispatcher
        if dispatcher is None:
            self.flower_events.clear()
            return
        dispatcher.buffer_limit = _MAX_BUFFERED_EVENTS
        while self.flower_events:
            name, fields = self.flower_events.popleft()
            dispatcher.send(name, **fields)
        self._flush_events()

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
