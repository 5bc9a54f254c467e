"""The object store: immutable objects, in a local folder or on S3, under keys that the server makes.

`shared.objects.opening` opens the one that the settings name. An object is never overwritten: its key carries the job
and the attempt that made it, and a key that is taken is refused.
"""

import abc
import contextlib
import dataclasses
import io
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import BinaryIO

from shared import digests, errors
from shared.objects import hostcache

_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class StoreDownError(errors.DownError, ConnectionError):
    """The object store can't be reached; try again later."""


class DamagedError(errors.UnavailableError):
    """An object is not what was stored; POST /v1/storage/verify names all such objects."""


@dataclasses.dataclass(frozen=True)
class Output:
    """A file that a job writes: its path, and the key under which it will be published."""

    path: pathlib.Path
    key: str


@dataclasses.dataclass(frozen=True)
class Listed:
    """An object as the store lists it."""

    key: str
    bytes: int
    modified_at: int
    """Epoch milliseconds by the store's clock."""

    @property
    def is_foreign(self) -> bool:
        """Whether the server can't have made the object: its name is no key, so it can't be opened or removed."""
        return not is_key(self.key)


class Store(abc.ABC):
    """What every store can do; a key that the server can't have made raises ValueError."""

    @abc.abstractmethod
    def check(self) -> None:
        """Write a little, and remove it; raises OSError when the store can't be written."""

    @abc.abstractmethod
    def stage(self, key: str) -> Output:
        """Choose a new local file to write, to be published under a key."""

    @abc.abstractmethod
    def publish(self, output: Output) -> None:
        """Make a staged file an object, durably; raises FileExistsError rather than change an existing one."""

    @abc.abstractmethod
    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading, in any order; raises FileNotFoundError when there is no such object."""

    @abc.abstractmethod
    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:
        """Return a local file with an object's bytes, after checking its SHA-256; it exists while `hold` is open."""

    @abc.abstractmethod
    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None when there is no such object."""

    @abc.abstractmethod
    def etag(self, key: str) -> str:
        """Return a text that changes when somebody changes an object's bytes; raises FileNotFoundError."""

    @abc.abstractmethod
    def list(self, folder: str = "") -> Iterator[Listed]:
        """List the objects whose names begin with `folder/`, or all, in no order; foreign ones too."""

    @abc.abstractmethod
    def remove(self, *keys: str) -> None:
        """Remove objects; a missing one counts as removed."""

    @contextlib.contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        """Open a new object for writing; it is published unless the block raises, in which case it is removed."""
        output = self.stage(key)
        try:
            with output.path.open("xb") as file:
                yield file
            self.publish(output)
        finally:
            output.path.unlink(missing_ok=True)

    def sha256(self, key: str) -> str:
        """Hash an object as it is in the store; raises FileNotFoundError when there is no such object."""
        with self.open_read(key) as file:
            return digests.of_open_file(file)


def is_key(name: str) -> bool:
    """Return whether a name is one that the server may have made."""
    return _KEY.fullmatch(name) is not None


def require_key(key: str) -> str:
    """Return a key that the server may have made; raises ValueError for any other."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no object key")
    return key


def move(path: pathlib.Path, output: pathlib.Path) -> None:
    """Move a finished file to an output's path; a mere rename if both are on the same file system."""
    shutil.move(path, output)


def missing_error(key: str) -> errors.PermanentError:
    """Build the error of an object that is needed and missing."""
    return errors.PermanentError(f"The object {key} is gone from the store.")


def changed_error(key: str, *, actual_sha256: str, sha256: str) -> errors.PermanentError:
    """Build the error of an object that is not what it was."""
    return errors.PermanentError(f"The object {key} has SHA-256 {actual_sha256}, not {sha256}: it was changed.")


def key_prefix(folder: str) -> str:
    """Build the prefix of the keys in a folder; the empty folder has all keys."""
    return f"{require_key(folder)}/" if folder else ""
