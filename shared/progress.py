"""How long functions tell how far they are."""

from collections.abc import Callable

Progress = Callable[[float, str], None]


def part(report: Progress, start: float, end: float) -> Progress:
    """Give a part of a work its share of the whole's progress, from `start` to `end` of it."""
    return lambda fraction, message: report(start + (end - start) * fraction, message)


def no_progress(_fraction: float, _message: str) -> None:
    """Tell nobody."""
