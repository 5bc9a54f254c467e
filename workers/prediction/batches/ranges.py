"""Reads ranges of a table's rows, one after another, in batches."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared.ml import frames


def cut(batches: Iterator[pa.RecordBatch], *, every: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut batches where a part of `every` rows ends; yields the position of each one's first row with it."""
    first = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            length = min(batch.num_rows - start, every - first % every)
            yield first, batch.slice(start, length)
            start += length
            first += length


class Ranges:
    """Reads ranges of rows in ascending order; row groups between them are passed over unread."""

    def __init__(self, path: Path, *, batch_rows: int, columns: list[str]) -> None:
        """Read some columns of a Parquet file."""
        self._path = path
        self._batch_rows = batch_rows
        self._columns = columns
        self._group_ends = _list_group_ends(path)
        self._position = 0
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None
        self._open(0)

    def read(self, start: int, stop: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows from `start` up to `stop`, or to the table's end, in batches with their first positions."""
        if self._group_of(start) > self._group_of(self._position):
            self._open(start)
        while self._position < stop:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            self._rest = None
            if batch is None:
                return
            skipped = min(batch.num_rows, max(0, start - self._position))
            length = min(batch.num_rows - skipped, stop - self._position - skipped)
            first = self._position + skipped
            self._position = first + length
            if skipped + length < batch.num_rows:
                self._rest = batch.slice(skipped + length)
            if length:
                yield first, batch.slice(skipped, length)

    def _open(self, first: int) -> None:
        self._position, self._rest = first, None
        self._batches = frames.iterate_batches(
            self._path, batch_rows=self._batch_rows, columns=self._columns, first_row=first
        )

    def _group_of(self, row: int) -> int:
        return sum(end <= row for end in self._group_ends)


def _list_group_ends(path: Path) -> list[int]:
    metadata = parquet.read_metadata(path)
    ends, end = [], 0
    for number in range(metadata.num_row_groups):
        end += metadata.row_group(number).num_rows
        ends.append(end)
    return ends
