"""Temporary folders of processes: each is locked by its process, and removed by others once that process is gone.

The lock is the kernel's (flock), not a process id: containers that share a volume have process ids of their own, by
which another container's live process would look dead.
"""

import atexit
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import time

from shared import ids

_NAME = re.compile(r"millrace-[0-7][0-9A-HJKMNP-TV-Z]{25}\.lock")
_YOUNG_SECONDS = 60.0
"""A younger file may not be locked yet, because its process is just creating it."""


class Scratch:
    """A folder that belongs to this process until it is removed."""

    def __init__(self, root: pathlib.Path) -> None:
        """Create a folder under a root, and remove those that dead processes have left there."""
        root.mkdir(parents=True, exist_ok=True)
        sweep(root)
        self.path = root / f"millrace-{ids.new_ulid()}"
        self._lock_path = self.path.with_suffix(".lock")
        self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path.mkdir(mode=0o700)
        self._owner = os.getpid()

    def remove(self) -> None:
        """Remove the folder with its files; does nothing the second time, or in a forked process."""
        if self._lock < 0 or os.getpid() != self._owner:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1


def sweep(root: pathlib.Path) -> int:
    """Remove the folders of processes that are gone, and count them."""
    removed = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                removed += _remove_if_abandoned(pathlib.Path(entry.path))
    return removed


def _remove_if_abandoned(lock_path: pathlib.Path) -> bool:
    try:
        if time.time() - lock_path.stat().st_mtime < _YOUNG_SECONDS:
            return False
        lock = os.open(lock_path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock_path.with_suffix(""), ignore_errors=True)
        lock_path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


class ProcessScratch:
    """One folder for as long as this process lives; a forked process has one of its own."""

    def __init__(self, root: pathlib.Path) -> None:
        """Create the folder when its path is first used."""
        self._root = root
        self._scratch: tuple[int, Scratch] | None = None

    @property
    def path(self) -> pathlib.Path:
        """The folder."""
        if self._scratch is None or self._scratch[0] != os.getpid() or not self._scratch[1].path.exists():
            self._scratch = os.getpid(), Scratch(self._root)
            atexit.register(self._scratch[1].remove)
        return self._scratch[1].path
