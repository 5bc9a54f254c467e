"""Reports columns that a table lacks, with those of similar names, and names that come twice."""

import collections
from collections.abc import Iterable

from shared import errors, suggestions

_MAX_REPORTED = 20


def require(required: Iterable[str], *, present: Iterable[str], pointer: str | None = None) -> None:
    """Raise BadDataError, with the most similar names, when a required column is absent."""
    names = list(present)
    name_set = set(names)
    absent = [name for name in required if name not in name_set]
    if absent:
        reported = absent[:_MAX_REPORTED]
        described = (_describe(name, names, share=len(reported)) for name in reported)
        raise errors.BadDataError(f"missing: {'; '.join(described)}", pointer=pointer)


def describe_absent(name: str, *, present: Iterable[str]) -> str:
    """Describe an absent column, with the names most similar to it; of very many names only the first are compared."""
    return _describe(name, list(present), share=1)


def list_repeated(names: Iterable[str]) -> list[str]:
    """List the names that come more than once, each once, in the order in which they come first."""
    return [name for name, count in collections.Counter(names).items() if count > 1]


def _describe(name: str, names: list[str], *, share: int) -> str:
    similar = suggestions.find_similar(name, names, share=share)
    hint = suggestions.ask(similar) if similar else f"there are {_list_first(names)}"
    return f"column {name!r} ({hint})"


def _list_first(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
