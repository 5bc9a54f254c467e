"""Says that a table lacks columns, and which ones have names close to theirs."""

import difflib
from collections.abc import Iterable

from shared import errors

# How many pairs of characters are compared at the most to find close names: near enough to a tenth of a second's work.
_MOST_PAIRS = 1_000_000
_MOST_TOLD = 20


def require(wanted: Iterable[str], *, present: Iterable[str], pointer: str | None = None) -> None:
    """Raise BadDataError, naming the closest names there are, when a wanted column is absent."""
    names = list(present)
    known = set(names)
    absent = [name for name in wanted if name not in known]
    if absent:
        told = absent[:_MOST_TOLD]
        described = (_describe(name, names, most_pairs=_MOST_PAIRS // len(told)) for name in told)
        raise errors.BadDataError(f"missing: {'; '.join(described)}", pointer=pointer)


def describe_absent(name: str, *, present: Iterable[str]) -> str:
    """Say that a column is absent, and which ones have names close to it; of very many the first are compared."""
    return _describe(name, list(present), most_pairs=_MOST_PAIRS)


def _describe(name: str, names: list[str], *, most_pairs: int) -> str:
    compared = names[: most_pairs // (len(name) + 1) ** 2]
    close = difflib.get_close_matches(name, compared, n=3)
    hint = f"did you mean {' or '.join(repr(other) for other in close)}?" if close else f"there are {_some(names)}"
    return f"column {name!r} ({hint})"


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
