"""The object store: immutable objects under keys that the server makes, in a local folder or on S3.

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


class StoreDownError(errors.UnavailableError, ConnectionError):
    """The object store can't be reached; try again later."""


class DamagedError(errors.UnavailableError):
    """An object is not what was stored; POST /v1/storage/verify names all such objects."""


@dataclasses.dataclass(frozen=True)
class Output:
    """A file that a job writes: where it writes it, and the key under which it will be published."""

    path: pathlib.Path
    key: str


@dataclasses.dataclass(frozen=True)
class Listed:
    """An object that is in the store."""

    key: str
    bytes: int
    modified_at: int
    """Epoch milliseconds by the store's clock."""

    @property
    def is_foreign(self) -> bool:
        """Tell whether the server can't have made it: its name is no key, and so it can't be opened or removed."""
        return not is_key(self.key)


class Store(abc.ABC):
    """What both stores can do; a key that the server can't have made raises ValueError."""

    @abc.abstractmethod
    def check(self) -> None:
        """Raise OSError when the store can't be written."""

    @abc.abstractmethod
    def stage(self, key: str) -> Output:
        """Give a fresh local file to write, to be published under a key."""

    @abc.abstractmethod
    def publish(self, output: Output) -> None:
        """Make a staged file an object, durably; raises FileExistsError rather than change one that is there."""

    @abc.abstractmethod
    def open_read(self, key: str) -> io.BufferedReader:
        """Open an object for reading, in any order; raises FileNotFoundError when there is none."""

    @abc.abstractmethod
    def fetch(self, key: str, *, sha256: str, hold: hostcache.Hold) -> pathlib.Path:
        """Give a local file with an object's bytes, once its SHA-256 is seen to be right; it is there while held."""

    @abc.abstractmethod
    def size(self, key: str) -> int | None:
        """Give an object's size in bytes; None when there is none."""

    @abc.abstractmethod
    def state(self, key: str) -> str:
        """Give a text that changes when somebody changes an object's bytes; raises FileNotFoundError."""

    @abc.abstractmethod
    def list(self, folder: str = "") -> Iterator[Listed]:
        """Give what is there under names that begin with `folder/`, or all, in no order; foreign things too."""

    @abc.abstractmethod
    def remove(self, *keys: str) -> None:
        """Remove objects; those that are not there count as removed."""

    @contextlib.contextmanager
    def write(self, key: str) -> Iterator[BinaryIO]:
        """Open a new object for writing; it is published when the block ends well, else removed."""
        output = self.stage(key)
        try:
            with output.path.open("xb") as file:
                yield file
            self.publish(output)
        finally:
            output.path.unlink(missing_ok=True)

    def sha256(self, key: str) -> str:
        """Hash an object as it is in the store; raises FileNotFoundError when there is none."""
        with self.open_read(key) as file:
            return digests.of_open_file(file)


def is_key(name: str) -> bool:
    """Tell whether the server may have made a name."""
    return _KEY.fullmatch(name) is not None


def checked(key: str) -> str:
    """Give a key that the server may have made; raises ValueError for any other."""
    if not is_key(key):
        raise ValueError(f"{key!r} is no object key")
    return key


def move(path: pathlib.Path, output: pathlib.Path) -> None:
    """Give a finished file to an output, by its name alone where both are on one file system."""
    shutil.move(path, output)


def gone(key: str) -> errors.PermanentError:
    """Say that an object that somebody needs is not there."""
    return errors.PermanentError(f"The object {key} is gone from the store.")


def changed(key: str, *, seen: str, sha256: str) -> errors.PermanentError:
    """Say that an object is not what it was."""
    return errors.PermanentError(f"The object {key} has SHA-256 {seen}, not {sha256}: it was changed.")


def within(folder: str) -> str:
    """Give what the keys in a folder begin with; the empty folder is everything."""
    return f"{checked(folder)}/" if folder else ""
