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
_LINK_TRIES = 5
_CHECK_BYTES = 64 * 1024


class LocalStore(store.Store):
    """Objects as files in one folder."""

    def __init__(self, root: pathlib.Path) -> None:
        """Use a folder; it is made when something is written."""
        self._root = root
        self._staging = scratch.ProcessScratch(root / _STAGING)

    def path_of(self, key: str) -> pathlib.Path:
        """Return the path of a key's file."""
        return self._root / store.require_key(key)

    def check(self) -> None:
        """Write a little, and remove it; raises OSError when the store can't be written."""
        path = self._staging.path / f"check-{ids.new_ulid()}"
        try:
            with path.open("xb") as file:
                file.write(bytes(_CHECK_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def stage(self, key: str) -> store.Output:
        """Choose a new file to write, on the same file system as the objects."""
        store.require_key(key)
        return store.Output(self._staging.path / f"{ids.new_ulid()}-{key.rpartition('/')[2]}", key)

    def publish(self, output: store.Output) -> None:
        """Make a staged file an object, durably; raises FileExistsError rather than change an existing one."""
        target = self.path_of(output.key)
        with output.path.open("rb") as file:
            # An object's time is that of its publication, however long ago its file was staged.
            os.utime(file.fileno())
            os.fsync(file.fileno())
        self._link(output.path, target)
        output.path.unlink()
        for folder in target.parents:
            _sync_folder(folder)
            if folder == self._root:
                break

    def _link(self, source: pathlib.Path, target: pathlib.Path) -> None:
        for tries_left in reversed(range(_LINK_TRIES)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                # No rename, which would overwrite: docs/decisions/storage.md, "Objects are published by hard link".
                return target.hardlink_to(source)
            except FileNotFoundError:
                # The folder's last object has just been removed, and the folder with it.
                if not tries_left:
                    raise
        return None

    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading; raises FileNotFoundError when there is none."""
        return self.path_of(key).open("rb")

    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:  # noqa: ARG002 - S3 needs the hold.
        """Return the path of the object's own file, after checking its SHA-256."""
        path = self.path_of(key)
        try:
            actual_sha256 = digests.of_file(path)
        except FileNotFoundError as error:
            raise store.missing_error(key) from error
        if actual_sha256 != sha256:
            raise store.changed_error(key, actual_sha256=actual_sha256, sha256=sha256)
        return path

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None when there is no such object."""
        try:
            return self.path_of(key).stat().st_size
        except FileNotFoundError:
            return None

    def etag(self, key: str) -> str:
        """Build a text that changes when somebody writes the object's file, even if its time is set back."""
        status = self.path_of(key).stat()
        return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"

    def list(self, folder: str = "") -> Iterator[store.Listed]:
        """List the files whose names begin with `folder/`, or all."""
        start = self._root / store.key_prefix(folder)
        for parent, folders, names in os.walk(start):
            folders[:] = [name for name in folders if name != _STAGING]
            for name in names:
                path = pathlib.Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    # A foreign file's name may be invalid UTF-8, and must be listed all the same.
                    key = os.fsencode(path.relative_to(self._root)).decode(errors="backslashreplace")
                    yield store.Listed(key, status.st_size, status.st_mtime_ns // 1_000_000)

    def remove(self, *keys: str) -> None:
        """Remove objects, and folders that become empty by that: each attempt of each job has one."""
        for key in keys:
            path = self.path_of(key)
            path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or not _remove_if_empty(folder):
                    break


def _remove_if_empty(folder: pathlib.Path) -> bool:
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
