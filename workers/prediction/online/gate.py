"""How many requests a deployment may compute at once, and how many may wait for that."""

import asyncio
import collections
import contextlib

from shared import errors


class Gate:
    """The bulkhead of one deployment: what is full here leaves all others alone. Used on one event loop."""

    def __init__(self) -> None:
        """Begin empty."""
        self._running = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    def has_room(self, *, max_running: int) -> bool:
        """Return whether a place is free and nobody waits for it."""
        return self._running < max_running and not self._waiting

    async def enter(self, *, max_running: int, max_waiting: int) -> None:
        """Take a place, once one is free; raises TooManyRequestsError when too many wait already."""
        if self.has_room(max_running=max_running):
            self._running += 1
            return
        if len(self._waiting) >= max_waiting:
            raise errors.TooManyRequestsError(
                f"{self._running} requests to this deployment are being answered and {len(self._waiting)} wait; try "
                "again in a second.",
                retry_after_seconds=1,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                # It is gone already if a place has just become free for it.
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Give a place back, to the one who has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                # The place is passed on, so it stays counted.
                turn.set_result(None)
                return
        self._running -= 1
