"""Celery's prefork pool, whose processes are told when they are idle."""

from collections.abc import Callable
from typing import Any

from celery.concurrency import asynpool, prefork

_IDLE_SECONDS = 1.0

_on_idle: Callable[[], None] | None = None


def call_when_idle(function: Callable[[], None]) -> None:
    """Have a function called about once a second while this pool process has nothing to do."""
    global _on_idle
    _on_idle = function


class _Process(asynpool.Worker):  # type: ignore[misc]  # Celery ships no types.
    def _make_child_methods(self, *arguments: Any, **named: Any) -> None:
        super()._make_child_methods(*arguments, **named)
        self._receive = vars(self)["wait_for_job"]
        self.wait_for_job = self._wait_for_job

    def _wait_for_job(self) -> Any:
        """Wait for a message of the parent's; None, after which Celery's loop calls again, when none has come."""
        if self.inq._reader.poll(_IDLE_SECONDS):
            return self._receive()
        if _on_idle is not None:
            _on_idle()
        return None


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    Worker = _Process


class TaskPool(prefork.TaskPool):  # type: ignore[misc]
    """The pool that Millrace's workers use."""

    Pool = _Pool
