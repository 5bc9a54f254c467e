"""What of Flower is replaced: it outlives outages of the broker, and lets operators cancel jobs and nothing else.

docs/decisions/queues.md, "Revoking or terminating a task cancels its job".
"""

import time
from typing import Any

import flower.app
import flower.events
import structlog
from celery.events import EventReceiver
from flower import urls
from flower.api import control
from flower.views import tasks
from tornado import web

from shared.queues import broker

_log = structlog.get_logger()
_PAUSE_SECONDS = 2.0
_LOG_AGAIN_SECONDS = 60.0


class _Receiver(EventReceiver):  # type: ignore[misc]  # Celery ships no types.
    """Receives events for as long as the broker can be heard; Celery's would wait for ever."""

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **named: Any) -> None:
        """Have the broker's heartbeats looked at in each round, and not only while no event comes."""
        check, opened = connection.heartbeat_check, (self.connection, connection)

        def check_or_drop() -> None:
            try:
                check()
            except Exception:
                # Without taking leave of a broker that no longer answers.
                for silent in opened:
                    silent.collect()
                raise

        connection.heartbeat_check = self.on_iteration = check_or_drop
        super().on_consume_ready(connection, channel, consumers, **named)


class _Events(flower.events.Events):  # type: ignore[misc]
    """Flower's thread of events, which tries again soon; Flower's own waits twice as long each time."""

    def run(self) -> None:
        """Receive events until the process ends."""
        next_log = 0.0
        while True:
            try:
                with self.capp.connection(heartbeat=broker.HEARTBEAT_SECONDS) as connection:
                    receiver = _Receiver(connection, handlers={"*": self.on_event}, app=self.capp)
                    receiver.capture(limit=None, timeout=None, wakeup=True)
            except Exception as error:  # noqa: BLE001 - whatever the broker does, the thread continues.
                if time.monotonic() >= next_log:
                    next_log = time.monotonic() + _LOG_AGAIN_SECONDS
                    _log.warning("flower_receives_no_events", error=type(error).__name__)
            time.sleep(_PAUSE_SECONDS)


class _Revoke(control.TaskRevoke):  # type: ignore[misc]
    """Cancels the job, whether it is to be revoked or terminated."""

    @web.authenticated
    async def post(self, task_id: str) -> None:
        """Ask the workers of the job's role."""
        await self.run_blocking("task.revoke", task_id, self.capp.control.revoke, task_id, terminate=True)
        self.write({"message": f"Cancelling '{task_id}'"})


class _TaskPage(tasks.TaskView):  # type: ignore[misc]
    """A task's page, the only one with a button that changes something."""

    def render(self, template: str, **values: Any) -> Any:
        """Show the button."""
        return super().render(template, **{**values, "read_only": False})


_REPLACED = {control.TaskRevoke: _Revoke, tasks.TaskView: _TaskPage}


def install() -> None:
    """Put these parts in the place of Flower's own, before it starts."""
    vars(flower.app)["Events"] = _Events
    urls.handlers[:] = [_replace(handler) for handler in urls.handlers]


def _replace(handler: Any) -> Any:
    if isinstance(handler, web.url):
        replaced = _REPLACED.get(handler.handler_class, handler.handler_class)
        return web.url(handler.regex.pattern, replaced, handler.kwargs, handler.name)
    return (handler[0], _REPLACED.get(handler[1], handler[1]), *handler[2:])
