"""Stores the result of a query as the typed Parquet of a dataset's version, however large it is."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from shared import contract, errors
from shared.ml import frames
from shared.progress import Progress, no_progress
from workers.tabular import engine, table_writer

_BATCH_ROWS = 2048
"""One of duckdb's vectors: long texts that it holds once are copied for each row of a batch."""
_STORED_FRACTION = 0.9


def store(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    columns: list[contract.Column],
    path: Path,
    threads: int,
    rows: int | None = None,
    progress: Progress = no_progress,
) -> table_writer.StoredTable:
    """Write a query's rows to a file, in the order of the query, and describe it with its profile.

    The query selects one expression for each of the columns, in their order; times are in UTC without a zone, as in
    views. `rows` is how many are expected, for the progress. BadDataError when a value doesn't fit its column's type.
    """
    with table_writer.TableWriter(path, columns=columns, in_background=threads > 1) as writer:
        for batch in read(connection, query):
            writer.write([cast(array, column) for array, column in zip(batch.columns, columns, strict=True)])
            progress(_STORED_FRACTION * min(1.0, writer.rows / rows) if rows else 0.0, f"storing, row {writer.rows:,}")
    return writer.describe(threads=threads)


def read(
    connection: duckdb.DuckDBPyConnection, query: str, *, batch_rows: int = _BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Read a query's rows, batch by batch; other queries may run on the connection meanwhile."""
    cursor = engine.open_cursor(connection)
    yield from cursor.sql(query).to_arrow_reader(batch_rows)


def cast(array: pa.Array, column: contract.Column) -> pa.Array:
    """Cast values to the type that a column is stored as; BadDataError when one doesn't fit."""
    try:
        return array.cast(frames.PHYSICAL_TYPES[column.type])
    except pa.ArrowInvalid as error:
        raise errors.BadDataError(f"column {column.name!r} can't hold a value as {column.type}: {error}") from error
