"""Stops a serving process without failing a request: TERM begins to drain it."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator

from api.front import sockets

_DRAIN_SECONDS = 2.0
"""How long kept connections may still ask before they are closed; each answer tells its client that it is the last."""
_IDLE_SECONDS = 0.1
"""The same where nobody has asked lately: a connection may have come just now."""
_RECENT_SECONDS = 30.0


class Drain:
    """What a process that is to stop does: it ends waits and streams early, since their clients can come back."""

    def __init__(self) -> None:
        """Begin in service."""
        self.has_begun = False
        self._ended_early: set[asyncio.Event] = set()
        self._last_request = time.monotonic()

    def on_term(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drain when TERM comes. INT stops at once, as granian does."""
        loop.add_signal_handler(signal.SIGTERM, self._begin, loop)

    def note_request(self) -> None:
        """Note that a client has just asked."""
        self._last_request = time.monotonic()

    @contextlib.contextmanager
    def sets(self, event: asyncio.Event) -> Iterator[None]:
        """Set an event when the drain begins while the block runs."""
        self._ended_early.add(event)
        if self.has_begun:
            event.set()
        try:
            yield
        finally:
            self._ended_early.discard(event)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        sockets.stop_accepting()
        for event in self._ended_early:
            event.set()
        has_clients = time.monotonic() - self._last_request < _RECENT_SECONDS
        loop.call_later(_DRAIN_SECONDS if has_clients else _IDLE_SECONDS, os.kill, os.getpid(), signal.SIGINT)
