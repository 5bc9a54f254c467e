"""Finds and opens files in the folders that the operator has opened to a tenant, and nowhere else.

docs/decisions/ingestion.md, "Connections and folders belong to tenants"
"""

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

TENANT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def find(url: str, *, roots: tuple[str, ...], tenant_id: str) -> list[listing.SourceFile]:
    """Find the files that a file URL selects; PermanentError when it leads outside the open folders."""
    path = _parse_path(url)
    open_folders = _list_open_folders(roots, tenant_id=tenant_id)
    # Nothing outside the open folders is accessed, so that nobody learns what exists there.
    if not any(path.is_relative_to(folder) for folders in open_folders for folder in folders):
        raise _not_open_error()
    real_folders = [real for _, real in open_folders]
    names = [path.name]
    if listing.is_pattern(path.name):
        names = listing.match_names(_list_names(path.parent, folders=real_folders), path.name)
    return [
        listing.SourceFile(str(path.parent / name), _create_opener(path.parent / name, folders=real_folders))
        for name in names
    ]


def _parse_path(url: str) -> Path:
    # A question mark is a wildcard here, and `#` and `;` are parts of names.
    try:
        path = Path(urllib.parse.unquote(url.removeprefix("file://"), errors="strict"))
    except UnicodeDecodeError as error:
        raise errors.PermanentError("The URL's path is not valid UTF-8 once it is decoded.") from error
    if ".." in path.parts or "\x00" in str(path):
        raise errors.PermanentError("The URL's path contains '..' or a NUL, which no file of an open folder needs.")
    return path


def _list_open_folders(roots: tuple[str, ...], *, tenant_id: str) -> list[tuple[Path, Path]]:
    """List the folders that are open to a tenant, each as it is configured and with its links resolved."""
    if any("{tenant}" in root for root in roots) and not TENANT_ID.fullmatch(tenant_id):
        raise _not_open_error()
    folders_as_named = [Path(root.replace("{tenant}", tenant_id)) for root in roots]
    if relative := [str(folder) for folder in folders_as_named if not folder.is_absolute()]:
        raise errors.PermanentError(
            f"MILLRACE_INGESTION_FILE_ROOTS contains {relative[0]!r}, which must begin with '/'."
        )
    return [(folder, folder.resolve()) for folder in folders_as_named]


def _list_names(folder: Path, *, folders: list[Path]) -> list[str]:
    try:
        _check_within(folder.resolve(), folders=folders)
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (OSError, RuntimeError) as error:
        raise errors.PermanentError(f"The folder of the files can't be listed: {_describe_reason(error)}.") from error


def _create_opener(
    path: Path, *, folders: list[Path]
) -> Callable[[], contextlib.AbstractContextManager[Iterator[bytes]]]:
    @contextlib.contextmanager
    def open_chunks() -> Iterator[Iterator[bytes]]:
        with _open(path, folders=folders) as file:
            yield iter(lambda: file.read(listing.CHUNK_BYTES), b"")

    return open_chunks


def _open(path: Path, *, folders: list[Path]) -> BinaryIO:
    """Open a regular file whose resolved path is within an open folder, whatever links lead there."""
    try:
        real = path.resolve()
        _check_within(real, folders=folders)
        # Without O_NONBLOCK, opening a pipe would wait forever.
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, RuntimeError) as error:
        raise errors.PermanentError(
            f"The file {path.name[:200]!r} can't be read: {_describe_reason(error)}."
        ) from error
    try:
        # A folder on the path may have been replaced by a link since it was checked.
        _check_within(Path(f"/proc/self/fd/{descriptor}").readlink(), folders=folders)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise errors.PermanentError(f"{path.name[:200]!r} is not a regular file.")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_within(real: Path, *, folders: list[Path]) -> None:
    if not any(real.is_relative_to(folder) for folder in folders):
        raise _not_open_error()


def _describe_reason(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "its links form a loop"


def _not_open_error() -> errors.PermanentError:
    return errors.PermanentError(
        "The file is not in a folder that is open to you; the operator opens folders with "
        "MILLRACE_INGESTION_FILE_ROOTS."
    )
