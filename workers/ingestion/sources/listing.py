"""The files and objects that a URL selects, by a name or by a pattern."""

import contextlib
import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterator

from shared import errors

CHUNK_BYTES = 1024 * 1024
MAX_FILES = 1000
WILDCARDS = re.compile(r"[*?]")


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file or object to read."""

    name: str
    """Its name in messages and lineage."""
    open_chunks: Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]
    """Opens it, and iterates over its bytes in chunks."""


def is_pattern(name: str) -> bool:
    """Check whether a name contains wildcards."""
    return WILDCARDS.search(name) is not None


def match_names(names: list[str], pattern: str) -> list[str]:
    """Select the names that match a pattern of `*` and `?`, in order; PermanentError when none or too many match."""
    # Brackets are no wildcards here.
    pattern_regex = re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
    matches = sorted(name for name in names if pattern_regex.match(name))
    if not matches:
        raise errors.PermanentError(f"No file matches {pattern[:200]!r}.")
    if len(matches) > MAX_FILES:
        raise errors.LimitExceededError(
            f"{len(matches):,} files match {pattern[:200]!r}; at most {MAX_FILES:,} may be read."
        )
    return matches
