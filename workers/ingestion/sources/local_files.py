"""Finds and opens files in the folders that the operator has opened to a tenant, and nowhere else."""

import contextlib
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from shared import errors
from workers.ingestion.sources import listing

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def find(url: str, *, roots: tuple[str, ...], tenant_id: str) -> list[listing.Found]:
    """Give the files that a file URL names; PermanentError when it leads outside the open folders."""
    path = _path(url)
    opened = _opened_folders(roots, tenant_id=tenant_id)
    # Nothing is looked for outside the open folders, so that nobody learns what is there.
    if not any(path.is_relative_to(folder) for pair in opened for folder in pair):
        raise _not_open()
    real_folders = [real for _, real in opened]
    names = [path.name]
    if listing.is_pattern(path.name):
        names = listing.matching(_names(path.parent, folders=real_folders), path.name)
    return [listing.Found(str(path.parent / name), _chunks(path.parent / name, folders=real_folders)) for name in names]


def _path(url: str) -> Path:
    # A question mark is part of a pattern here, and `#` and `;` are parts of names.
    try:
        path = Path(urllib.parse.unquote(url.removeprefix("file://"), errors="strict"))
    except UnicodeDecodeError as error:
        raise errors.PermanentError("The URL's path is not UTF-8 once it is decoded.") from error
    if ".." in path.parts or "\x00" in str(path):
        raise errors.PermanentError("The URL's path holds '..' or a NUL, which no file of an open folder needs.")
    return path


def _opened_folders(roots: tuple[str, ...], *, tenant_id: str) -> list[tuple[Path, Path]]:
    """Give the folders that are open to a tenant, as they are named and as they really are."""
    if any("{tenant}" in root for root in roots) and not TENANT.fullmatch(tenant_id):
        raise _not_open()
    named = [Path(root.replace("{tenant}", tenant_id)) for root in roots]
    if relative := [str(folder) for folder in named if not folder.is_absolute()]:
        raise errors.PermanentError(f"MILLRACE_INGESTION_FILE_ROOTS holds {relative[0]!r}, which must begin with '/'.")
    return [(folder, folder.resolve()) for folder in named]


def _names(folder: Path, *, folders: list[Path]) -> list[str]:
    try:
        _check_within(folder.resolve(), folders=folders)
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (OSError, RuntimeError) as error:
        raise errors.PermanentError(f"The folder of the files can't be listed: {_reason(error)}.") from error


def _chunks(path: Path, *, folders: list[Path]) -> Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]:
    @contextlib.contextmanager
    def chunks() -> Iterator[Iterator[bytes]]:
        with _open(path, folders=folders) as file:
            yield iter(lambda: file.read(listing.CHUNK_BYTES), b"")

    return chunks


def _open(path: Path, *, folders: list[Path]) -> BinaryIO:
    """Open a regular file whose real place is within an open folder, whatever links lead there."""
    try:
        real = path.resolve()
        _check_within(real, folders=folders)
        # A pipe would wait for ever without O_NONBLOCK.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, RuntimeError) as error:
        raise errors.PermanentError(f"The file {path.name[:200]!r} can't be read: {_reason(error)}.") from error
    try:
        # A folder on the way may have been exchanged for a link since it was looked at.
        _check_within(Path(f"/proc/self/fd/{descriptor}").readlink(), folders=folders)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errors.PermanentError(f"{path.name[:200]!r} is no regular file.")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_within(real: Path, *, folders: list[Path]) -> None:
    if not any(real.is_relative_to(folder) for folder in folders):
        raise _not_open()


def _reason(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "its links lead in a circle"


def _not_open() -> errors.PermanentError:
    return errors.PermanentError(
        "The file is in no folder that is open to you; the operator opens them with MILLRACE_INGESTION_FILE_ROOTS."
    )
