"""Checks the INT96 times of Parquet files, which Spark and Impala write, against what 64 bits of microseconds hold.

docs/decisions/ingestion.md, "INT96 times are read three times"
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from workers.ingestion import time_limits

LOW, HIGH = time_limits.bounds("s")


class Int96Check:
    """Finds the values of INT96 columns that microseconds can't hold, and counts those that are finer than these."""

    def __init__(self, path: Path, *, names: list[str], batch_rows: int, buffer_bytes: int) -> None:
        """Open the file for the columns of these names."""
        self._names = names
        self._seconds, self._nanoseconds = (
            _Reader(path, names=names, unit=unit, batch_rows=batch_rows, buffer_bytes=buffer_bytes)
            for unit in ("s", "ns")
        )
        self.unsupported = dict.fromkeys(names, 0)
        """By column, how many times are not of the years 1 to 9999."""
        self.finer = dict.fromkeys(names, 0)
        """By column, how many of the others are finer than a microsecond."""

    def check(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the next rows, whose times are in microseconds, with missing values for times out of range."""
        seconds, nanoseconds = self._seconds.take(batch.num_rows), self._nanoseconds.take(batch.num_rows)
        for name in self._names:
            column, exact = batch.column(name), seconds.column(name).cast(pa.int64())
            is_low, is_high = pc.less(exact, LOW), pc.greater(exact, HIGH)
            is_unsupported = pc.fill_null(pc.or_(is_low, is_high), fill_value=False)
            self.unsupported[name] += pc.sum(is_unsupported).as_py() or 0
            # Both are cut to 64 bits in the same way, so they differ only in what is finer.
            coarse = pc.multiply(column.cast(pa.int64()), 1000)
            is_finer = pc.not_equal(coarse, nanoseconds.column(name).cast(pa.int64()))
            self.finer[name] += pc.sum(pc.and_not(is_finer, is_unsupported)).as_py() or 0
            kept = pc.if_else(is_unsupported, pa.scalar(None, column.type), column)
            batch = batch.set_column(batch.schema.get_field_index(name), name, kept)
        return batch

    def notes(self, column_names: dict[str, str]) -> list[str]:
        """Describe what was changed, by the names that the columns have in the dataset."""
        remedy = "; write them as int64 timestamps or text to keep more"
        finer = [
            time_limits.describe_finer(column_names[name], count, remedy=remedy)
            for name, count in self.finer.items()
            if count
        ]
        unsupported = [
            time_limits.describe_unsupported(column_names[name], count, remedy=" To keep them, write them as text.")
            for name, count in self.unsupported.items()
            if count
        ]
        return finer + unsupported


class _Reader:
    """Reads rows of some columns, as many as are asked for."""

    def __init__(self, path: Path, *, names: list[str], unit: str, batch_rows: int, buffer_bytes: int) -> None:
        file = parquet.ParquetFile(path, buffer_size=buffer_bytes, pre_buffer=False, coerce_int96_timestamp_unit=unit)
        self._file = file
        self._batches: Iterator[pa.RecordBatch] = file.iter_batches(batch_rows, columns=names, use_threads=False)
        self._rest = pa.Table.from_batches([], pa.schema([]))

    def take(self, rows: int) -> pa.Table:
        while self._rest.num_rows < rows:
            batch = pa.Table.from_batches([next(self._batches)])
            self._rest = pa.concat_tables([self._rest, batch]) if self._rest.num_rows else batch
        taken, self._rest = self._rest.slice(0, rows), self._rest.slice(rows)
        return taken.combine_chunks()
