"""Interrupts what runs in an engine of this process, so that a stop of its job needs not wait for it.

A stop raises Stop in the thread that waits for a query. duckdb then waits for its other threads, and one that has the
whole query to itself goes on to its end; `interrupt` is what it looks at.
"""

import contextlib
import weakref
from typing import Protocol


class Interruptible(Protocol):
    """What can be interrupted from a handler of signals, while it is at work or not."""

    def interrupt(self) -> None:
        """Have the query that runs end with an error, if one does."""


_watched: weakref.WeakSet[Interruptible] = weakref.WeakSet()


def watch(connection: Interruptible) -> None:
    """Have a stop interrupt a connection for as long as it is alive."""
    _watched.add(connection)


def interrupt_all() -> None:
    """Interrupt all that is watched."""
    for connection in list(_watched):
        # One that is closed says so.
        with contextlib.suppress(Exception):
            connection.interrupt()
