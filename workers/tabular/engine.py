"""duckdb, locked down to the rows and files that are passed to it: no network, and bounded memory."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from workers import interruption, memory

MEMORY_BYTES = 384 * 1024 * 1024
"""The most that duckdb may hold; less in a process that may take less than four times as much."""
# Once these are set, no statement can reach another file, a Python variable or a setting.
_LOCKDOWN = (
    "SET enable_progress_bar = false",
    "SET preserve_insertion_order = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "max_temp_directory_size")
# The last limits what it spills to nine tenths of what the disk has left when it starts.


@contextlib.contextmanager
def open_database(
    scratch: Path, *, threads: int, files: Sequence[Path] = (), most_bytes: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in a folder, to which it spills what does not fit in memory; it can read some files.

    `most_bytes` is less memory than it may take by default, for who needs the rest.

    Raises OSError when the disk is full, also while the database is used.
    """
    share = (memory.current_bytes() or sys.maxsize) // 4
    config: dict[str, Any] = {
        "memory_limit": f"{min(MEMORY_BYTES, most_bytes or MEMORY_BYTES, share)}B",
        "temp_directory": str(scratch / "rows.spill"),
        "threads": threads,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with (
        _full_disk_as_os_error(),
        contextlib.closing(duckdb.connect(str(scratch / "rows.duckdb"), config=config)) as connection,
    ):
        interruption.watch(connection)
        if files:
            connection.execute(f"SET allowed_paths = [{', '.join(map(quote, files))}]")
        for statement in _LOCKDOWN:
            connection.execute(statement)
        yield connection


def open_cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Open a cursor of its own for a query whose rows are read while other queries run on the connection.

    A connection forgets the rows of a query when it runs the next one. Keep the cursor for as long as rows are read.
    """
    cursor = connection.cursor()
    interruption.watch(cursor)
    return cursor


def quote(path: Path) -> str:
    """Write a file's path as SQL."""
    return "'" + str(path).replace("'", "''") + "'"


@contextlib.contextmanager
def _full_disk_as_os_error() -> Iterator[None]:
    """Raise duckdb's errors of a full disk, for which it has no class or code, as the kernel's."""
    try:
        yield
    except duckdb.Error as error:
        if any(words in str(error) for words in _FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
