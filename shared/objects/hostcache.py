"""This host's cache: what is expensive to fetch or to compute is made once per host, and shared by its processes.

An entry is a file, or a folder of files, under a name that contains all that its bytes depend on (a SHA-256, and what
was computed from it). Each user of an entry gets hard links to it in a folder of its own, so the entry may be dropped
at any time: its bytes live until the last user's links are gone. The cache may therefore hold, for a while, more bytes
on disk than it counts. See docs/decisions/storage.md, "What S3 gives is kept in a cache of the host, and handed out as
hard links".

    hold = hostcache.Hold(hostcache.open_cache(config))
    path = hold.link(f"npy-{sha256}", make)     # make(path) writes the file or folder, when the host has none
    …
    hold.close()                                # a job's own hold is closed at its end: see `workers.job.Job.cached`
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import time
from collections.abc import Callable, Iterator

from shared import ids, settings
from shared.objects import scratch

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

MakeEntry = Callable[[pathlib.Path], None]
"""Writes an entry at a path that doesn't exist yet: a file, or a folder with files in it."""


class HostCache:
    """Entries in one folder of this host; when it gets too large, those used least recently are dropped."""

    def __init__(self, root: pathlib.Path, *, max_bytes: int) -> None:
        """Keep entries in a folder, which is created with the first entry."""
        self._entries = root / "entries"
        self._locks = root / "locks"
        self.holds = root / "holds"
        self._max_bytes = max_bytes

    def link(self, name: str, make: MakeEntry, *, into: pathlib.Path) -> pathlib.Path:
        """Link an entry into a folder of the same file system; it is made first if the host lacks it."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} can't name an entry; use letters, digits, '.', '_' and '-'")
        entry, target = self._entries / name, into / f"{ids.new_ulid()}-{name}"
        with self._locked(name):
            is_new = not entry.exists()
            if is_new:
                self._make(entry, make, beside=into)
            _link(entry, target)
        if is_new:
            self.shrink(keep=name)
        return target

    def drop(self, name: str) -> None:
        """Drop an entry, for instance because its bytes are damaged."""
        with self._locked(name):
            _remove(self._entries / name)

    def shrink(self, *, keep: str = "") -> None:
        """Drop entries, those used least recently first and never `keep`, until the rest is small enough."""
        entries = sorted(self._list_entries())
        total = sum(size for _, size, _ in entries)
        for _, size, name in entries:
            if total <= self._max_bytes:
                return
            if name == keep:
                continue
            with contextlib.suppress(BlockingIOError), self._locked(name, wait=False):
                _remove(self._entries / name)
                (self._locks / name).unlink(missing_ok=True)
                total -= size

    def _make(self, entry: pathlib.Path, make: MakeEntry, *, beside: pathlib.Path) -> None:
        new_entry = beside / ids.new_ulid()
        try:
            make(new_entry)
            _sync(new_entry)
            self._entries.mkdir(parents=True, exist_ok=True)
            new_entry.rename(entry)
        finally:
            _remove(new_entry)

    def _list_entries(self) -> Iterator[tuple[float, int, str]]:
        """List when each entry was used last, its size in bytes and its name."""
        with contextlib.suppress(FileNotFoundError):
            for entry in list(self._entries.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    yield (self._locks / entry.name).stat().st_mtime, _size(entry), entry.name

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Lock an entry against other processes; the lock file's time is when the entry was used last."""
        self._locks.mkdir(parents=True, exist_ok=True)
        path = self._locks / name
        lock = _lock(path, wait=wait)
        try:
            if wait:
                now = time.time()
                os.utime(path, (now, now))
            yield
        finally:
            os.close(lock)


class Hold:
    """Entries that somebody uses; their links exist until the hold is closed."""

    def __init__(self, cache: HostCache) -> None:
        """Use entries of a cache."""
        self.cache = cache
        self._scratch: scratch.Scratch | None = None

    @property
    def path(self) -> pathlib.Path:
        """The folder of the links, on the cache's file system."""
        if self._scratch is None:
            self._scratch = scratch.Scratch(self.cache.holds)
        return self._scratch.path

    def link(self, name: str, make: MakeEntry) -> pathlib.Path:
        """Return the path of an entry, made first if the host lacks it; read-only, until the hold is closed."""
        return self.cache.link(name, make, into=self.path)

    def close(self) -> None:
        """Remove the links to all entries."""
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None


def open_cache(config: settings.Settings) -> HostCache:
    """Open the cache that the settings name."""
    return HostCache(config.cache_path(), max_bytes=config.cache_bytes)


def _lock(path: pathlib.Path, *, wait: bool) -> int:
    """Lock a file that others may remove: retry until the locked file is still the one at the path."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _files(entry: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in entry.iterdir() if path.is_file()] if entry.is_dir() else [entry]


def _size(entry: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in _files(entry))


def _link(entry: pathlib.Path, target: pathlib.Path) -> None:
    if entry.is_dir():
        target.mkdir(mode=0o700)
        for path in _files(entry):
            (target / path.name).hardlink_to(path)
    else:
        target.hardlink_to(entry)


def _sync(entry: pathlib.Path) -> None:
    """Make an entry read-only, and sync it before it gets its name, so that a crash leaves no incomplete one."""
    for path in _files(entry):
        path.chmod(0o400)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _remove(entry: pathlib.Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
