"""Runs blocking calls for an event loop, in threads that are started when they are first needed."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
_Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Threads:
    """At most a number of threads; calls beyond them wait their turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, count: int, name: str) -> None:
        """Run calls for a loop in at most `count` threads."""
        self.waiting = 0
        """The calls that wait or run."""
        self._loop = loop
        self._count = count
        self._name = name
        self._started = 0
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()

    def run(self, function: Callable[..., Result], *arguments: Any) -> Awaitable[Result]:
        """Call a function in a thread; call this from the loop's own thread only."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self.waiting += 1
        self._calls.put((future, function, arguments))
        if self._started < min(self._count, self.waiting):
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            future, function, arguments = self._calls.get()
            try:
                result, error = function(*arguments), None
            except BaseException as raised:  # noqa: BLE001 - raised where the call is awaited.
                result, error = None, raised
            self._loop.call_soon_threadsafe(self._finish, future, result, error)

    def _finish(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self.waiting -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
