"""A worker's consumer that takes doorbells only: junk is refused, and lands in RabbitMQ's dead letters."""

import collections
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from celery.utils.log import get_logger
from celery.worker import consumer

_log = structlog.get_logger()
_FLUSH_SECONDS = 0.25
_MOST_BUFFERED = 1000
_MOST_SHOWN = 10_000
_NOT_OURS = ("eta", "expires", "group", "chord")
"""Headers of Celery's that a doorbell leaves empty: what waits in a worker's memory would be lost with it."""


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery ships no types.
    """Looks at each message before Celery does, because Celery acknowledges what it can't decode and so loses it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin with nothing to show."""
        self.shown: collections.deque[tuple[str, dict[str, Any]]] = collections.deque(maxlen=_MOST_SHOWN)
        """Events for Flower of jobs that no message stands behind; other threads append, the loop sends."""
        self._flushing: Any = None
        super().__init__(*arguments, **named)

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """Make the function that takes messages in."""
        take = super().create_task_handler(*arguments, **named)
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing = self.hub.call_repeatedly(_FLUSH_SECONDS, self._flush)

        def on_message(message: Any) -> None:
            fault = find_fault(message, known=self.strategies)
            if fault is None:
                take(message)
            else:
                self._refuse(message, fault)

        return on_message

    def on_send_event_buffered(self) -> None:
        """Leave what Flower watches in the buffer; Celery would send it at every turn of its loop."""

    def _flush(self) -> None:
        """Send what Flower watches in batches, a few times a second."""
        dispatcher = self.event_dispatcher
        if dispatcher is None:
            self.shown.clear()
            return
        dispatcher.buffer_limit = _MOST_BUFFERED
        while self.shown:
            name, fields = self.shown.popleft()
            dispatcher.send(name, **fields)
        self._flush_events()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse what can't be decoded, where Celery would acknowledge it."""
        self._refuse(message, type(exc).__name__)

    def _refuse(self, message: Any, fault: str) -> None:
        _log.warning("message_refused", fault=fault, content_type=str(message.content_type)[:100])
        message.reject_log_error(get_logger(__name__), self.connection_errors)


def find_fault(message: Any, *, known: Any) -> str | None:
    """Say why a message is no doorbell for any of the known tasks; None when it is one."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    if message.content_type != "application/json":
        return "content type"
    if headers.get("task") not in known:
        return "unknown task"
    if not isinstance(headers.get("id"), str) or any(headers.get(name) for name in _NOT_OURS):
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
