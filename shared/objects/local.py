"""The object store in a local folder, which every process that uses it shares."""

import contextlib
import io
import os
import pathlib
from collections.abc import Iterator

from shared import digests, ids
from shared.objects import hostcache, scratch, store

_STAGING = ".staging"
"""A folder that no key can name."""
_TRIES = 5


class LocalStore(store.Store):
    """Objects as files in one folder."""

    def __init__(self, root: pathlib.Path) -> None:
        """Use a folder; it is made when something is written."""
        self._root = root
        self._staging = scratch.OfProcess(root / _STAGING)

    def path_of(self, key: str) -> pathlib.Path:
        """Give the file of a key."""
        return self._root / store.checked(key)

    def check(self) -> None:
        """Raise OSError when the store can't be written."""
        folder = self._root / _STAGING
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")

    def stage(self, key: str) -> store.Output:
        """Give a fresh file to write, of the same file system as the objects."""
        store.checked(key)
        return store.Output(self._staging.path / f"{ids.new_ulid()}-{key.rpartition('/')[2]}", key)

    def publish(self, output: store.Output) -> None:
        """Make a staged file an object, durably; raises FileExistsError rather than change one that is there."""
        target = self.path_of(output.key)
        with output.path.open("rb") as file:
            # An object is as old as its publication, however long its file lay staged.
            os.utime(file.fileno())
            os.fsync(file.fileno())
        self._link(output.path, target)
        output.path.unlink()
        for folder in target.parents:
            _sync_folder(folder)
            if folder == self._root:
                break

    def _link(self, source: pathlib.Path, target: pathlib.Path) -> None:
        for left in reversed(range(_TRIES)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # A link, and no rename: should two attempts ever write one key, the first's object must stay as it is.
                return target.hardlink_to(source)
            except FileNotFoundError:
                # Somebody removed the last object of the folder, and the folder with it.
                if not left:
                    raise
        return None

    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading; raises FileNotFoundError when there is none."""
        return self.path_of(key).open("rb")

    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:  # noqa: ARG002 - S3 needs the hold.
        """Give the object's own file, once its SHA-256 is seen to be right."""
        path = self.path_of(key)
        try:
            seen = digests.of_file(path)
        except FileNotFoundError as missing:
            raise store.gone(key) from missing
        if seen != sha256:
            raise store.changed(key, seen=seen, sha256=sha256)
        return path

    def size(self, key: str) -> int | None:
        """Give an object's size in bytes; None when there is none."""
        try:
            return self.path_of(key).stat().st_size
        except FileNotFoundError:
            return None

    def state(self, key: str) -> str:
        """Give what changes when somebody writes the object's file, even one who sets its time back."""
        status = self.path_of(key).stat()
        return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"

    def list(self, folder: str = "") -> Iterator[store.Listed]:
        """Give the files whose names begin with `folder/`, or all."""
        start = self._root / store.within(folder)
        for parent, folders, names in os.walk(start):
            folders[:] = [name for name in folders if name != _STAGING]
            for name in names:
                path = pathlib.Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    # A foreign file's name may be no text at all, and is to be told all the same.
                    key = os.fsencode(path.relative_to(self._root)).decode(errors="backslashreplace")
                    yield store.Listed(key, status.st_size, status.st_mtime_ns // 1_000_000)

    def remove(self, *keys: str) -> None:
        """Remove objects, and the folders that are then empty: each attempt of each job has one."""
        for key in keys:
            path = self.path_of(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or not _removed(folder):
                    break


def _removed(folder: pathlib.Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
