"""Reads the rows of a tidy CSV file with Arrow, as text in their order.

docs/decisions/ingestion.md, "CSV is read as text, then typed"
"""

import dataclasses
import io
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
from pyarrow import csv

from shared import errors
from workers.ingestion.formats import csv_dialect, csv_missing, csv_records

# A row must fit in a block. Arrow reads some 35 blocks ahead, so large blocks cost memory: 8 MiB took 300 MB more than
# 2 MiB.
BLOCK_BYTES = 2 * 1024 * 1024


class UnevenRowError(errors.BadDataError):
    """A row has more or fewer fields than there are columns."""


class _MarkedFile(io.RawIOBase):
    """A file with a marker row of ours at its end: when that row is not read as itself, a quote was left open."""

    def __init__(self, path: Path, *, skip_bytes: int, row: bytes) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._file.seek(skip_bytes)
        self._row = row
        self._last = b"\n"
        self._is_at_end = False
        self._rest = b""

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes: Arrow relies on never getting more."""
        chunk = self._file.read(size)
        if len(chunk) < size and not self._is_at_end:
            # The row is added to the last block where it fits, since Arrow needs a complete row in the first block.
            self._is_at_end = True
            last = chunk[-1:] or self._last
            self._rest = self._row if last in b"\r\n" else b"\n" + self._row
        self._last = chunk[-1:] or self._last
        free_bytes = size - len(chunk)
        chunk, self._rest = chunk + self._rest[:free_bytes], self._rest[free_bytes:]
        return chunk

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a file, from a place on, all of which have a field for each column."""

    path: Path
    _: dataclasses.KW_ONLY
    skip_bytes: int
    dialect: csv_dialect.Dialect
    names: list[str]
    missing: list[str]
    """Texts that mean a missing value."""
    notes: list[str]
    """Notes, to which reading the rows adds those on missing values."""
    locate_row: Callable[[int], str]

    def batches(self) -> Iterator[tuple[float, pa.RecordBatch]]:
        """Read all rows but the marker row, which must be the last; at the end, note what was read as missing.

        Raises UnevenRowError, and BadDataError for a quote that is never closed.
        """
        missing = csv_missing.MissingFields(self.missing, names=self.names)
        mark = secrets.token_hex(12)
        row = (mark + self.dialect.delimiter * (len(self.names) - 1) + "\n").encode()
        size, rows, has_mark = self.path.stat().st_size + 1, 0, False
        uneven: list[Any] = []
        with _MarkedFile(self.path, skip_bytes=self.skip_bytes, row=row) as file:
            try:
                for parsed in self._parse_batches(file, uneven=uneven):
                    batch = parsed
                    if batch.num_rows and batch.column(0)[-1].as_py() == mark:
                        batch, has_mark = batch.slice(0, batch.num_rows - 1), True
                    rows += batch.num_rows
                    if batch.num_rows:
                        yield file.tell() / size, missing.mark(batch)
            except pa.ArrowInvalid as error:
                self._refuse(error, uneven=uneven, rows=rows, mark=mark)
        if not has_mark:
            self._refuse_open_quote(rows)
        self.notes.extend(note for note in missing.notes() if note not in self.notes)

    def _parse_batches(self, file: io.RawIOBase, *, uneven: list[Any]) -> Iterator[pa.RecordBatch]:
        """Parse in one thread, which keeps the order and so the number of an invalid row."""

        def note_uneven(row: Any) -> str:
            uneven.append(row)
            return "error"

        columns = [str(position) for position in range(len(self.names))]
        return csv.open_csv(  # type: ignore[no-any-return]
            pa.PythonFile(file, mode="r"),
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=columns),
            parse_options=csv.ParseOptions(
                delimiter=self.dialect.delimiter,
                quote_char=self.dialect.quote or False,
                escape_char=self.dialect.escape or False,
                newlines_in_values=True,
                # In a table with one column, a blank line is a missing value.
                ignore_empty_lines=len(columns) > 1,
                invalid_row_handler=note_uneven,
            ),
            convert_options=csv.ConvertOptions(
                # The whole file was checked when its encoding was detected.
                check_utf8=False,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=csv_missing.arrow_null_values(self.missing),
                strings_can_be_null=True,
            ),
        )

    def _refuse(self, error: pa.ArrowInvalid, *, uneven: list[Any], rows: int, mark: str) -> NoReturn:
        if uneven:
            if mark in uneven[0].text:
                self._refuse_open_quote(uneven[0].number)
            raise UnevenRowError(
                f"{self.locate_row(uneven[0].number)} has {uneven[0].actual_columns:,} fields, but there are "
                f"{len(self.names):,} columns."
            ) from error
        if "straddling" in str(error) and self.path.stat().st_size < BLOCK_BYTES:
            self._refuse_open_quote(rows)
        if "straddling" in str(error):
            raise errors.LimitExceededError(
                f"A row somewhere after row {rows:,} is longer than {BLOCK_BYTES:,} bytes; "
                "most likely a quote is opened there and never closed."
            ) from error
        raise errors.BadDataError(f"The CSV can't be read after row {rows:,}: {error}") from error

    def _refuse_open_quote(self, row: int) -> NoReturn:
        raise errors.BadDataError(f"{self.locate_row(max(row, 1))}: {csv_records.OPEN_QUOTE}")
