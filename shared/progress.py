"""How functions that take long report their progress."""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Takes the fraction that is done, from 0 to 1, and a message."""


def subrange(report: Progress, start: float, end: float) -> Progress:
    """Scale the progress of one step, so that it fills the range from `start` to `end` of the whole."""
    return lambda fraction, message: report(start + (end - start) * fraction, message)


def no_progress(_fraction: float, _message: str) -> None:
    """Report nothing."""
