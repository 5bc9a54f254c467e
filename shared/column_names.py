"""Reports columns that a table lacks, and suggests those with similar names."""

import difflib
from collections.abc import Iterable

from shared import errors

# The most pairs of characters that are compared to find similar names: about a tenth of a second's work.
_MAX_PAIRS = 1_000_000
_MAX_REPORTED = 20


def require(required: Iterable[str], *, present: Iterable[str], pointer: str | None = None) -> None:
    """Raise BadDataError, with the most similar names, when a required column is absent."""
    names = list(present)
    name_set = set(names)
    absent = [name for name in required if name not in name_set]
    if absent:
        reported = absent[:_MAX_REPORTED]
        described = (_describe(name, names, max_pairs=_MAX_PAIRS // len(reported)) for name in reported)
        raise errors.BadDataError(f"missing: {'; '.join(described)}", pointer=pointer)


def describe_absent(name: str, *, present: Iterable[str]) -> str:
    """Describe an absent column, with the names most similar to it; of very many names only the first are compared."""
    return _describe(name, list(present), max_pairs=_MAX_PAIRS)


def _describe(name: str, names: list[str], *, max_pairs: int) -> str:
    compared = names[: max_pairs // (len(name) + 1) ** 2]
    close = difflib.get_close_matches(name, compared, n=3)
    hint = (
        f"did you mean {' or '.join(repr(other) for other in close)}?" if close else f"there are {_list_first(names)}"
    )
    return f"column {name!r} ({hint})"


def _list_first(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
