"""Writes the parts of a dataset in one pass over its file, each with its rows in their order."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa

from shared import contract
from shared.ml import frames, targets
from shared.progress import Progress
from workers.tabular import query_results, table_writer

_BATCH_ROWS = 32_768
_ASSIGNED_ROWS = 65_536
_WRITTEN_FRACTION = 0.6
"""The progress once all rows are written; then the parts are profiled."""


def save_assigned(connection: duckdb.DuckDBPyConnection, file: BinaryIO, *, rows: int) -> None:
    """Save each row's part, as the table `assigned` says, as one byte; RuntimeError when a row has none, or two."""
    saved = 0
    query = "SELECT row, part FROM assigned ORDER BY row"
    for batch in query_results.read(connection, query, batch_rows=_ASSIGNED_ROWS):
        if not np.array_equal(batch.column(0).to_numpy(), np.arange(saved, saved + batch.num_rows)):
            raise RuntimeError(f"a row from {saved} on has no part, or two")
        file.write(batch.column(1).to_numpy().tobytes())
        saved += batch.num_rows
    if saved != rows:
        raise RuntimeError(f"{saved} rows have a part, of {rows}")


def write(
    dataset: Path,
    assigned: BinaryIO,
    paths: Sequence[Path],
    *,
    columns: list[contract.Column],
    progress: Progress,
) -> list[table_writer.TableWriter]:
    """Write each part to its path, by what `save_assigned` has saved; return the writers, which can describe the files.

    Only the row numbers have gone through duckdb; values are copied as they are. The parts share the memory of two row
    groups.
    """
    total, done = frames.count_rows(dataset), 0
    group_bytes = max(1, table_writer.GROUP_BYTES * 2 // len(paths))
    assigned.seek(0)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                table_writer.TableWriter(path, columns=columns, group_bytes=group_bytes, profiles_later=True)
            )
            for path in paths
        ]
        for batch in frames.iterate_batches(dataset, batch_rows=_BATCH_ROWS):
            parts = np.frombuffer(assigned.read(batch.num_rows), np.uint8)
            for part, writer in enumerate(writers):
                rows = np.flatnonzero(parts == part)
                if len(rows):
                    writer.write(_take(batch, rows, columns=columns))
            done += batch.num_rows
            progress(_WRITTEN_FRACTION * done / total, f"{done:,} of {total:,} rows written")
    return writers


def _take(batch: pa.RecordBatch, rows: targets.Values, *, columns: list[contract.Column]) -> list[pa.Array]:
    taken = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
    return [query_results.cast(array, column) for array, column in zip(taken.columns, columns, strict=True)]
