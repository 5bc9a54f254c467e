"""Writes batches of any size as Parquet with row groups of a sensible one."""

import types
from pathlib import Path
from typing import Self

import pyarrow as pa

from shared import contract
from shared.ml import frames

GROUP_ROWS = 131_072
GROUP_BYTES = 32 * 1024 * 1024


class TableWriter:
    """Gathers batches into row groups; once closed, `frame` has the file's rows, bytes, sha256 and columns."""

    def __init__(self, path: Path, *, columns: list[contract.Column]) -> None:
        """Start a file at `path` with these columns."""
        self.frame = frames.FrameWriter(path, columns=columns)
        self._names = [column.name for column in columns]
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def write(self, arrays: list[pa.Array]) -> None:
        """Append rows, given as one array for each column."""
        batch = pa.RecordBatch.from_arrays(arrays, names=self._names)
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self.frame.write_table(pa.Table.from_batches(self._batches))
        self._batches, self._rows, self._bytes = [], 0, 0

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Write what is left and finish the file, or remove it when something went wrong."""
        try:
            if kind is None:
                self._flush()
        except BaseException as failure:
            self.frame.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self.frame.__exit__(kind, error, trace)
