"""Stores the rows of a table as typed Parquet, batch by batch, whatever they are read from."""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from shared import contract
from shared.progress import Progress
from workers.ingestion import column_threads, prefetch
from workers.ingestion.limits import Limits
from workers.tabular import table_writer

# The progress of the load once the rows are stored; then only a wide table still has to be profiled.
STORED_FRACTION = 0.9


class Conversion(Protocol):
    """Converts a column, batch by batch, to its type."""

    def convert(self, array: pa.Array, first_row: int) -> pa.Array:
        """Convert the next values."""

    def notes(self) -> list[str]:
        """Describe what the conversion changed."""


@dataclasses.dataclass
class TableStore:
    """The file of one table while it is being loaded."""

    target: Path
    _: dataclasses.KW_ONLY
    limits: Limits
    threads: int
    progress: Progress
    stored: table_writer.TableWriter | None = None
    """The writer of the file, once all rows are stored."""

    def store(
        self,
        batches: Iterator[tuple[float, pa.RecordBatch]],
        *,
        columns: list[contract.Column],
        conversions: Sequence[Conversion],
    ) -> list[str]:
        """Store all rows, and return the notes of the conversions."""
        rows = 0
        with self.open_writer(columns) as writer, concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            columnwise = column_threads.ColumnThreads(pool, count=self.threads)
            for fraction, batch in self.prefetch(batches):
                first_rows = itertools.repeat(rows + 1)
                writer.write(columnwise.map(_convert, conversions, batch.columns, first_rows))
                rows += batch.num_rows
                self.progress(fraction * STORED_FRACTION, f"storing, row {rows:,}")
        self.stored = writer
        return [note for column_conversion in conversions for note in column_conversion.notes()]

    def prefetch(self, batches: Iterator[tuple[float, pa.RecordBatch]]) -> Iterator[tuple[float, pa.RecordBatch]]:
        """Iterate over batches, of which a few are read ahead when there are several threads."""
        return prefetch.prefetch(batches) if self.threads > 1 else batches

    def open_writer(self, columns: list[contract.Column]) -> table_writer.TableWriter:
        """Start the file anew."""
        return table_writer.TableWriter(self.target, columns=columns, in_background=self.threads > 1)


def build_columns(column_names: list[str], types: list[contract.ColumnType]) -> list[contract.Column]:
    """Build the columns of these names and types."""
    return [contract.Column(name=name, type=column_type) for name, column_type in zip(column_names, types, strict=True)]


def _convert(column_conversion: Conversion, array: pa.Array, first_row: int) -> pa.Array:
    return column_conversion.convert(array, first_row)
