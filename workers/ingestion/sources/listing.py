"""Files and objects that a URL names, by a name or by a pattern."""

import contextlib
import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterator

from shared import errors

CHUNK_BYTES = 1024 * 1024
MOST_FILES = 1000
WILD = re.compile(r"[*?]")


@dataclasses.dataclass(frozen=True)
class Found:
    """A file or object that is to be read."""

    name: str
    """As messages and lineage show it."""
    chunks: Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]
    """Opens it, and gives its bytes in parts."""


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for several."""
    return WILD.search(name) is not None


def matching(names: list[str], pattern: str) -> list[str]:
    """Give the names that fit a pattern of `*` and `?`, in order; PermanentError when none does, or too many do."""
    # Brackets mean themselves here.
    plain = re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
    fitting = sorted(name for name in names if plain.match(name))
    if not fitting:
        raise errors.PermanentError(f"No file fits {pattern[:200]!r}.")
    if len(fitting) > MOST_FILES:
        raise errors.LimitExceededError(
            f"{len(fitting):,} files fit {pattern[:200]!r}; at most {MOST_FILES:,} are read."
        )
    return fitting
