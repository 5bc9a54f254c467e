"""duckdb, which sees only the rows that it is handed: no file, no network, and bounded memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

MEMORY = "384MiB"
# Once set, nothing that a statement says can reach a file, a variable of Python's or a setting any more.
_CLOSED = (
    "SET preserve_insertion_order = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@contextlib.contextmanager
def opened(scratch: Path, *, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty database in a folder, to which it writes what memory does not hold."""
    connection = duckdb.connect(
        str(scratch / "rows.duckdb"),
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(scratch / "rows.spill"),
            "threads": threads,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    try:
        for statement in _CLOSED:
            connection.execute(statement)
        yield connection
    finally:
        connection.close()
