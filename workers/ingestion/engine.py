"""duckdb, locked down to the rows that are passed to it: no files, no network, and bounded memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

MEMORY_LIMIT = "384MiB"
# Once these are set, no statement can reach a file, a Python variable or a setting.
_LOCKDOWN = (
    "SET preserve_insertion_order = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@contextlib.contextmanager
def open_database(scratch: Path, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in a folder, to which it spills what does not fit in memory."""
    connection = duckdb.connect(
        str(scratch / "rows.duckdb"),
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(scratch / "rows.spill"),
            "threads": threads,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        for statement in _LOCKDOWN:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()
