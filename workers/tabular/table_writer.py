"""Writes batches of any size as Parquet with row groups of a suitable size."""

import concurrent.futures
import dataclasses
import types
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from pyarrow import parquet

from shared import contract, digests, storable
from shared.ml import frames
from shared.objects import encoding
from shared.progress import Progress, no_progress
from workers.tabular import nul_characters, profile

GROUP_ROWS = 131_072
GROUP_BYTES = 32 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class StoredTable:
    """A description of a table that was stored."""

    rows: int
    columns: list[contract.Column]
    bytes: int
    """Size of the Parquet file."""
    sha256: str
    """Hash of the Parquet file, in hexadecimal."""
    profile: list[dict[str, Any]]
    """One JSON document for each column; see `profile.profile_parquet`."""


class TableWriter:
    """Collects batches into row groups; once it is closed, `describe` describes the file."""

    def __init__(
        self,
        path: Path,
        *,
        columns: list[contract.Column],
        in_background: bool = False,
        group_bytes: int | None = None,
        profiles_later: bool = False,
    ) -> None:
        """Start a file at `path` with these columns; `in_background`, threads write and profile the row groups.

        Who writes several files at once has less memory for each: a row group may be made to have fewer bytes, and the
        file be read again for its profile, as that of a wide table is.
        """
        self._path = path
        self._columns = columns
        self._schema = pa.schema([(column.name, frames.PHYSICAL_TYPES[column.type]) for column in columns])
        self._nulls = [0] * len(columns)
        self._texts = [index for index, column in enumerate(columns) if column.type == "string"]
        self._with_nul = [0] * len(columns)
        self._batches: list[pa.RecordBatch] = []
        self._gathered_rows = self._gathered_bytes = 0
        self._file: parquet.ParquetWriter | None = None
        # One thread writes a row group and waits for the other, which profiles it.
        self._pool = concurrent.futures.ThreadPoolExecutor(2) if in_background else None
        self._pending: concurrent.futures.Future[None] | None = None
        self._group_bytes = group_bytes or GROUP_BYTES
        profiled = columns if profile.can_profile_while_writing(columns) and not profiles_later else []
        self._profiles = [profile.ColumnProfile(column) for column in profiled]
        self.rows = 0

    @property
    def columns(self) -> list[contract.Column]:
        """The columns, nullable where a value is missing."""
        return [
            column.model_copy(update={"nullable": nulls > 0})
            for column, nulls in zip(self._columns, self._nulls, strict=True)
        ]

    @property
    def notes(self) -> list[str]:
        """What was changed while writing, by column."""
        return [
            f"Column {column.name!r}: U+0000 was replaced by {storable.NUL_SYMBOL} in {count:,} values."
            for column, count in zip(self._columns, self._with_nul, strict=True)
            if count
        ]

    def write(self, arrays: list[pa.Array]) -> None:
        """Append rows, as one array of the right type for each column.

        U+0000 in texts is replaced by its symbol: PostgreSQL holds it in no profile, label or category.
        """
        for index in self._texts:
            if nul_characters.are_in(arrays[index]):
                arrays[index], count = nul_characters.replace(arrays[index])
                self._with_nul[index] += count
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._nulls = [nulls + array.null_count for nulls, array in zip(self._nulls, arrays, strict=True)]
        self.rows += batch.num_rows
        self._batches.append(batch)
        self._gathered_rows += batch.num_rows
        self._gathered_bytes += batch.nbytes
        if self._gathered_rows >= GROUP_ROWS or self._gathered_bytes >= self._group_bytes:
            self._flush()

    def _flush(self) -> None:
        if self._gathered_rows:
            self._wait()
            group = pa.Table.from_batches(self._batches)
            if self._pool is None:
                self._write_group(group)
            else:
                self._pending = self._pool.submit(self._write_group, group)
        self._batches, self._gathered_rows, self._gathered_bytes = [], 0, 0

    def _write_group(self, group: pa.Table) -> None:
        if self._file is None:
            repeating = encoding.find_repeating(group)
            schema = pa.schema([_stored_field(field, repeating=repeating) for field in self._schema])
            # With Arrow's own schema in the file, every reader would get these texts as dictionaries.
            self._file = parquet.ParquetWriter(self._path, schema, use_dictionary=repeating, store_schema=False)
        arrays = [
            _encode(column, arrow_type)
            for column, arrow_type in zip(group.columns, self._file.schema.types, strict=True)
        ]
        profiling = None if self._pool is None else self._pool.submit(self._profile, arrays)
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._file.schema))
        if profiling is None:
            self._profile(arrays)
        else:
            profiling.result()

    def _profile(self, arrays: list[pa.Array]) -> None:
        # A table that is too wide to be profiled while it is written has no profiles here.
        for column_profile, array in zip(self._profiles, arrays, strict=False):
            column_profile.add(array)

    def describe(self, *, threads: int, progress: Progress = no_progress) -> StoredTable:
        """Describe the file; a table that was not profiled while it was written is read again for that."""
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            hashing = pool.submit(digests.of_file, self._path)
            if self._profiles:
                documents = profile.to_documents(self._profiles, width=len(self._columns), pool=pool)
            else:
                documents = profile.profile_parquet(
                    self._path, columns=self._columns, threads=threads, progress=progress
                )
            return StoredTable(self.rows, self.columns, self._path.stat().st_size, hashing.result(), documents)

    def _wait(self) -> None:
        """Wait for the row group that is being written, and raise its error, if there was one."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Write the remaining rows and finish the file, or remove it after an error."""
        try:
            if error_type is None:
                self._flush()
            self._wait()
            if self._file is None:
                self._write_group(self._schema.empty_table())
        except BaseException:
            self._close(is_complete=False)
            raise
        self._close(is_complete=error_type is None)

    def _close(self, *, is_complete: bool) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        if self._file is not None:
            self._file.close()
        if not is_complete:
            self._path.unlink(missing_ok=True)


def _stored_field(field: pa.Field, *, repeating: list[str]) -> pa.Field:
    """Choose the stored type of a column; repeating texts are passed as dictionaries to spare work."""
    is_encoded = field.name in repeating and pa.types.is_string(field.type)
    return field.with_type(pa.dictionary(pa.int32(), field.type)) if is_encoded else field


def _encode(column: pa.ChunkedArray, arrow_type: pa.DataType) -> pa.Array:
    array = column.combine_chunks()
    return array.dictionary_encode() if pa.types.is_dictionary(arrow_type) else array
