"""A copy's segments on its own disk: appended to at once, shipped to the object store each second.

Each process has a folder of its own, which it holds locked. What a process that is gone has left is shipped by the next
one. Segments are bounded: what finds no room, on the disk or because the store is away for long, is lost and counted.
"""

import contextlib
import fcntl
import os
import pathlib
import threading
from collections.abc import Iterator

import prometheus_client
import structlog

from shared import ids
from shared.objects import store
from shared.prediction.records import segments

_log = structlog.get_logger()
_LOCK = "lock"
_MAX_KEPT_BYTES = 256 << 20
"""What may wait on this disk while the store is away."""
LOST = prometheus_client.Counter(
    "millrace_inference_records_lost_total", "Exposures and counts that could not be kept until they were stored."
)
WAITING = prometheus_client.Gauge(
    "millrace_inference_records_waiting_bytes", "Bytes of exposures and counts that wait for the object store."
)


class SegmentFiles:
    """The segments of this process; `append` is called by any thread, `ship` by one."""

    def __init__(self, root: pathlib.Path, objects: store.Store) -> None:
        """Append in a new folder below `root`."""
        self._objects = objects
        self._root = root
        self._lock_file: int | None = None
        while self._lock_file is None:
            # Until it is locked, another process may take it for one that was left.
            self._process = ids.new_ulid()
            self._folder = root / self._process
            self._folder.mkdir(mode=0o700, parents=True)
            self._lock_file = _try_lock(self._folder / _LOCK)
        self._lock = threading.Lock()
        self._number = 0
        self._file: int | None = None
        self._bytes = 0
        self._is_full = False
        self._unsaid = 0

    @property
    def objects(self) -> store.Store:
        """The store to which they are shipped."""
        return self._objects

    @property
    def process(self) -> str:
        """The name of this process's folder, which no other process has ever had."""
        return self._process

    def append(self, line: bytes) -> None:
        """Append a record, which outlives this process from then on."""
        with self._lock:
            try:
                if self._is_full:
                    raise OSError("too much waits for the object store")
                if self._file is None:
                    self._file = os.open(self._path_of(self._number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self._bytes += os.write(self._file, line)
            except OSError:
                LOST.inc()
                self._unsaid += 1

    def ship(self) -> None:
        """Ship what has been written, and what processes that are gone have left; raises what the store raises."""
        # While the store is away, one segment grows instead of thousands that wait.
        if self._bytes and (self._bytes >= segments.MAX_BYTES or len(self._list_numbers(self._folder)) < 2):
            self._end_segment()
        waiting = self._measure()
        WAITING.set(waiting)
        self._is_full = waiting > _MAX_KEPT_BYTES
        for number in self._list_numbers(self._folder):
            if number < self._number:
                self._ship_file(self._path_of(number), process=self._process)
        self._ship_left()
        self._is_full = False
        WAITING.set(0)

    def close(self) -> None:
        """End the last segment, ship it if the store is there, and let another process ship it otherwise."""
        self._end_segment()
        with contextlib.suppress(store.StoreDownError, OSError):
            self.ship()
            _remove_folder(self._folder)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _end_segment(self) -> None:
        with self._lock:
            if self._unsaid and self._file is not None:
                with contextlib.suppress(OSError):
                    os.write(self._file, segments.write_lost(self._unsaid))
                    self._unsaid = 0
            if self._file is not None:
                os.close(self._file)
            self._file, self._bytes = None, 0
            self._number += 1

    def _measure(self) -> int:
        sizes = 0
        for number in self._list_numbers(self._folder):
            with contextlib.suppress(FileNotFoundError):
                sizes += self._path_of(number).stat().st_size
        return sizes

    def _ship_left(self) -> None:
        for folder in _list_folders(self._root):
            if folder == self._folder:
                continue
            lock = _try_lock(folder / _LOCK)
            if lock is None:
                continue
            try:
                for number in self._list_numbers(folder):
                    self._ship_file(folder / f"{number:010}", process=folder.name)
                _remove_folder(folder)
            finally:
                os.close(lock)

    def _ship_file(self, path: pathlib.Path, *, process: str) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        if content:
            # Taken already: this process or another one was killed after it had shipped it.
            with (
                contextlib.suppress(FileExistsError),
                self._objects.write(segments.key_of(f"{process}-{path.name}")) as file,
            ):
                file.write(content)
        path.unlink(missing_ok=True)

    def _path_of(self, number: int) -> pathlib.Path:
        return self._folder / f"{number:010}"

    @staticmethod
    def _list_numbers(folder: pathlib.Path) -> list[int]:
        return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def _list_folders(root: pathlib.Path) -> Iterator[pathlib.Path]:
    for folder in sorted(root.iterdir()):
        if len(folder.name) == 26 and folder.is_dir():
            yield folder


def _try_lock(path: pathlib.Path) -> int | None:
    """Lock a process's folder for as long as the descriptor is open; None while its process lives."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    if not path.exists() or not os.path.samestat(path.stat(), os.fstat(descriptor)):
        # Who held it has just removed the folder.
        os.close(descriptor)
        return None
    return descriptor


def _remove_folder(folder: pathlib.Path) -> None:
    (folder / _LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
