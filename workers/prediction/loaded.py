"""Versions of models that a process keeps in memory from one job to the next."""

import collections
import threading
from collections.abc import Callable
from pathlib import Path

from shared import contract, settings
from workers import memory
from workers.prediction.online.versions import Version

_SHARE = 0.25
"""The part of the memory of a process that models may keep."""
_GROWTH = 2
"""How much more memory a model takes than its file."""


class Loaded:
    """Keeps the versions that were used last, as far as their memory allows."""

    def __init__(self, *, max_bytes: int) -> None:
        """Keep as many as have so many bytes together, and at least one."""
        self._max_bytes = max_bytes
        self._versions: collections.OrderedDict[str, tuple[Version, int]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def find(self, pin: contract.ModelPin, fetch: Callable[[contract.ModelPin], Path]) -> Version:
        """Return a version, which is fetched, loaded and warmed if it is not in memory; raises what that raises."""
        name = f"{pin.key} {pin.sha256}"
        with self._lock:
            entry = self._versions.get(name)
            if entry is not None:
                self._versions.move_to_end(name)
                return entry[0]
        path = fetch(pin)
        version = Version(pin, path)
        with self._lock:
            self._versions[name] = (version, _GROWTH * path.stat().st_size)
            while len(self._versions) > 1 and sum(size for _, size in self._versions.values()) > self._max_bytes:
                self._versions.popitem(last=False)
        return version


def open_loaded() -> Loaded:
    """Make a place for versions in the memory of this process."""
    config = settings.load()
    limit = memory.limit_bytes("prediction", config=config) or memory.available_bytes()
    return Loaded(max_bytes=int(_SHARE * limit))
