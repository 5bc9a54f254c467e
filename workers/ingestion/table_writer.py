"""Writes batches of any size as Parquet with row groups of a sensible one."""

import concurrent.futures
import dataclasses
import types
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shared import contract, digests
from shared.ml import frames
from shared.progress import Progress, no_progress
from workers.ingestion import profile

GROUP_ROWS = 131_072
GROUP_BYTES = 32 * 1024 * 1024
HEAD_ROWS = 20_000


@dataclasses.dataclass(frozen=True)
class StoredTable:
    """A table as it was stored."""

    rows: int
    columns: list[contract.Column]
    bytes: int
    """Size of the Parquet file."""
    sha256: str
    """Hash of the Parquet file, in hexadecimal."""
    profile: list[dict[str, Any]]
    """One JSON document for each column; see `profile.profile_parquet`."""


class TableWriter:
    """Gathers batches into row groups; once closed, `describe` tells of the file."""

    def __init__(self, path: Path, *, columns: list[contract.Column], is_ahead: bool = False) -> None:
        """Start a file at `path` with these columns; threads write and profile when the caller goes on meanwhile."""
        self._path = path
        self._columns = columns
        self._schema = pa.schema([(column.name, frames.PHYSICAL_TYPES[column.type]) for column in columns])
        self._nulls = [0] * len(columns)
        self._batches: list[pa.RecordBatch] = []
        self._gathered_rows = self._gathered_bytes = 0
        self._file: parquet.ParquetWriter | None = None
        # One thread writes a row group and waits for the other, which profiles it.
        self._pool = concurrent.futures.ThreadPoolExecutor(2) if is_ahead else None
        self._pending: concurrent.futures.Future[None] | None = None
        at_once = columns if profile.fits_at_once(columns) else []
        self._profiles = [profile.ColumnProfile(column) for column in at_once]
        self.rows = 0

    @property
    def columns(self) -> list[contract.Column]:
        """The columns, nullable where a value was missing."""
        return [
            column.model_copy(update={"nullable": nulls > 0})
            for column, nulls in zip(self._columns, self._nulls, strict=True)
        ]

    def write(self, arrays: list[pa.Array]) -> None:
        """Append rows, given as one array of the right type for each column."""
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._nulls = [nulls + array.null_count for nulls, array in zip(self._nulls, arrays, strict=True)]
        self.rows += batch.num_rows
        self._batches.append(batch)
        self._gathered_rows += batch.num_rows
        self._gathered_bytes += batch.nbytes
        if self._gathered_rows >= GROUP_ROWS or self._gathered_bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._gathered_rows:
            self._wait()
            group = pa.Table.from_batches(self._batches)
            if self._pool is None:
                self._put(group)
            else:
                self._pending = self._pool.submit(self._put, group)
        self._batches, self._gathered_rows, self._gathered_bytes = [], 0, 0

    def _put(self, group: pa.Table) -> None:
        if self._file is None:
            repeating = _repeating(group)
            schema = pa.schema([_as_stored(field, repeating=repeating) for field in self._schema])
            # Arrow's own schema beside that of Parquet would make dictionaries of these texts for every reader.
            self._file = parquet.ParquetWriter(self._path, schema, use_dictionary=repeating, store_schema=False)
        arrays = [_encoded(column, kind) for column, kind in zip(group.columns, self._file.schema.types, strict=True)]
        profiling = None if self._pool is None else self._pool.submit(self._profile, arrays)
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._file.schema))
        if profiling is None:
            self._profile(arrays)
        else:
            profiling.result()

    def _profile(self, arrays: list[pa.Array]) -> None:
        # A table too wide to be profiled meanwhile has no profiles here.
        for one, array in zip(self._profiles, arrays, strict=False):
            one.add(array)

    def describe(self, *, threads: int, progress: Progress = no_progress) -> StoredTable:
        """Describe what was written; a table that is too wide to be profiled meanwhile is read again for that."""
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            hashing = pool.submit(digests.of_file, self._path)
            if self._profiles:
                documents = profile.describe(self._profiles, width=len(self._columns), pool=pool)
            else:
                documents = profile.profile_parquet(
                    self._path, columns=self._columns, threads=threads, progress=progress
                )
            return StoredTable(self.rows, self.columns, self._path.stat().st_size, hashing.result(), documents)

    def _wait(self) -> None:
        """Wait for the row group under way, and raise what went wrong with it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

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
            self._wait()
            if self._file is None:
                self._put(self._schema.empty_table())
        except BaseException:
            self._close(is_whole=False)
            raise
        self._close(is_whole=kind is None)

    def _close(self, *, is_whole: bool) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self._file is not None:
            self._file.close()
        if not is_whole:
            self._path.unlink(missing_ok=True)


def _repeating(group: pa.Table) -> list[str]:
    """Give the columns whose values repeat: for others Parquet's dictionaries cost time and save no room."""
    head = group.slice(0, HEAD_ROWS)
    return [name for name in head.column_names if pc.count_distinct(head.column(name)).as_py() < head.num_rows / 2]


def _as_stored(field: pa.Field, *, repeating: list[str]) -> pa.Field:
    """Let repeating texts be handed over as dictionaries, so that they need not be looked up once more."""
    is_encoded = field.name in repeating and pa.types.is_string(field.type)
    return field.with_type(pa.dictionary(pa.int32(), field.type)) if is_encoded else field


def _encoded(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    whole = column.combine_chunks()
    return whole.dictionary_encode() if pa.types.is_dictionary(kind) else whole
