"""Which tests run side by side, in several processes, and which one after another in the same one.

A file's tests stay together, so that what they share is made once; a file of system tests is two such groups, one for
each backend, as each has systems of its own. What waits most begins first: meanwhile the others compute.
"""

import re

from xdist import scheduler

_BACKEND = re.compile(r"\[(embedded|servers)\b")
_FIRST = ("tests/system/", "tests/integration/")


class ByGroup(scheduler.LoadScopeScheduling):  # type: ignore[misc] # it has no types.
    """Hands each process one group after another, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Name the group of tests with which a test runs in one process."""
    file, _, name = nodeid.partition("::")
    backend = _BACKEND.search(name) if file.startswith("tests/system/") else None
    return f"{file}, {backend.group(1)}" if backend else file


def place_of(nodeid: str) -> int:
    """Return how late a test begins: the lower, the sooner."""
    return next((place for place, folder in enumerate(_FIRST) if nodeid.startswith(folder)), len(_FIRST))
