"""The object store: immutable objects under keys that the server makes, in a local folder."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import BinaryIO

from shared import errors, ids, settings

_KEY = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_CHUNK_BYTES = 1024 * 1024
_STAGING = ".staging"
"""A folder that no key can name."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """What was written: its key, size and SHA-256."""

    key: str
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Output:
    """A file that a job writes: where it writes it, and the key under which it will be published."""

    path: pathlib.Path
    key: str


class LocalStore:
    """Objects as files in one folder, which every process that uses them shares."""

    def __init__(self, root: pathlib.Path) -> None:
        """Use a folder; it is made when something is written."""
        self._root = root

    def path_of(self, key: str) -> pathlib.Path:
        """Give the file of a key; the key must be one that the server made."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no object key")
        return self._root / key

    def check(self) -> None:
        """Raise OSError when the store can't be written."""
        folder = self._root / _STAGING
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")

    def stage(self, key: str) -> Output:
        """Give a fresh file to write, to be published under a key."""
        self.path_of(key)
        folder = self._root / _STAGING
        folder.mkdir(parents=True, exist_ok=True)
        return Output(folder / f"{ids.new_ulid()}-{key.rpartition('/')[2]}", key)

    def publish(self, output: Output) -> None:
        """Make a staged file an object, durably; raises FileExistsError rather than change one that is there."""
        target = self.path_of(output.key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with output.path.open("rb") as file:
            os.fsync(file.fileno())
        # A link, and no rename: should two attempts ever write one key, the first one's object must stay as it is.
        target.hardlink_to(output.path)
        output.path.unlink()
        for folder in target.parents:
            _sync_folder(folder)
            if folder == self._root:
                break

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

    def fetch(self, key: str, *, sha256: str) -> pathlib.Path:
        """Give a local file with an object's bytes, once its SHA-256 is seen to be right."""
        path = self.path_of(key)
        try:
            seen = sha256_of(path)
        except FileNotFoundError as gone:
            raise errors.PermanentError(f"The object {key} is gone from the store.") from gone
        if seen != sha256:
            raise errors.PermanentError(f"The object {key} has SHA-256 {seen}, not {sha256}: it was changed.")
        return path

    def size(self, key: str) -> int | None:
        """Give an object's size in bytes; None when there is none."""
        try:
            return self.path_of(key).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self.path_of(key).unlink(missing_ok=True)


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: pathlib.Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_store(config: settings.Settings) -> LocalStore:
    """Open the store that the settings name."""
    return LocalStore(config.storage_path())
