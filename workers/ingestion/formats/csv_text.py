"""Reads CSV as text in the order of its rows, and names the line of an error.

docs/decisions/ingestion.md, "CSV is read as text, then typed"
"""

import dataclasses
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
from pyarrow import csv

from shared import errors
from shared.ingestion.contract import CsvOptions
from workers.ingestion import names, text_table
from workers.ingestion.formats import csv_dialect, csv_hint, csv_missing, text_encoding, unpack
from workers.ingestion.limits import Limits

# A row must fit in a block. Arrow reads some 35 blocks ahead, so large blocks cost memory: 8 MiB took 300 MB more than
# 2 MiB.
BLOCK_BYTES = 2 * 1024 * 1024
SHOWN_CHARACTERS = 120


def open_csv(path: Path, *, options: CsvOptions, scratch: Path, limits: Limits) -> text_table.TextTable:
    """Detect how a CSV file is written and return its columns as text; BadDataError where it is not well formed."""
    unpack.refuse_foreign_file(path, format_name="CSV")
    encoding = text_encoding.find_encoding(path, declared=options.encoding)
    utf8_path, skip_bytes = text_encoding.to_utf8(path, encoding=encoding, scratch=scratch)
    hint = csv_hint.read(utf8_path, skip_bytes=skip_bytes, declared=options.delimiter)
    skip_bytes += hint.bytes
    dialect = csv_dialect.find_dialect(utf8_path, skip_bytes=skip_bytes, declared=hint.delimiter, limits=limits)
    column_names, renamed = names.resolve_names(dialect.header, limits=limits)
    missing = sorted({value.strip() for value in options.null_values})
    # Reading the rows appends to these.
    notes = [*([encoding.note] if encoding.note else []), *hint.notes, *dialect.notes, *renamed]
    reader = _Reader(
        utf8_path,
        skip_bytes=skip_bytes + dialect.blank_bytes,
        skip_lines=hint.lines + dialect.blank_lines,
        delimiter=dialect.delimiter,
        names=column_names,
        missing=missing,
        notes=notes,
    )
    return text_table.TextTable(
        names=column_names,
        batches=reader.batches,
        candidates=[text_table.ANY_TYPE] * len(column_names),
        missing=missing,
        notes=notes,
        locate_row=reader.locate_row,
    )


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
class _Reader:
    path: Path
    _: dataclasses.KW_ONLY
    skip_bytes: int
    skip_lines: int
    delimiter: str
    names: list[str]
    missing: list[str]
    notes: list[str]

    @property
    def columns(self) -> int:
        return len(self.names)

    def locate_row(self, row: int) -> str:
        line = csv_dialect.find_line(
            self.path,
            skip_bytes=self.skip_bytes,
            delimiter=self.delimiter,
            row=row,
            has_one_column=self.columns == 1,
        )
        name = f"Row {row:,}" if row else "The header"
        return name if line is None else f"{name} (line {line + self.skip_lines:,})"

    def batches(self) -> Iterator[tuple[float, pa.RecordBatch]]:
        """Read all rows but the marker row, which must be the last; at the end, note what was read as missing."""
        missing = csv_missing.MissingFields(self.missing, names=self.names)
        mark = secrets.token_hex(12)
        row = (mark + self.delimiter * (self.columns - 1) + "\n").encode()
        size, rows, has_mark = self.path.stat().st_size + 1, 0, False
        ragged: list[Any] = []
        with _MarkedFile(self.path, skip_bytes=self.skip_bytes, row=row) as file:
            try:
                for parsed in self._parse_batches(file, ragged=ragged):
                    batch = parsed
                    if batch.num_rows and batch.column(0)[-1].as_py() == mark:
                        batch, has_mark = batch.slice(0, batch.num_rows - 1), True
                    rows += batch.num_rows
                    if batch.num_rows:
                        yield file.tell() / size, missing.mark(batch)
            except pa.ArrowInvalid as error:
                self._refuse(error, ragged=ragged, rows=rows, mark=mark)
        if not has_mark:
            self._refuse_open_quote(rows)
        self.notes.extend(note for note in missing.notes() if note not in self.notes)

    def _parse_batches(self, file: io.RawIOBase, *, ragged: list[Any]) -> Iterator[pa.RecordBatch]:
        """Parse in one thread, which keeps the order and so the number of an invalid row."""

        def note_ragged(row: Any) -> str:
            ragged.append(row)
            return "error"

        columns = [str(position) for position in range(self.columns)]
        return csv.open_csv(  # type: ignore[no-any-return]
            pa.PythonFile(file, mode="r"),
            read_options=csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, column_names=columns, skip_rows_after_names=1
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                # In a table with one column, a blank line is a missing value.
                ignore_empty_lines=self.columns > 1,
                invalid_row_handler=note_ragged,
            ),
            convert_options=csv.ConvertOptions(
                # The whole file was checked when its encoding was detected.
                check_utf8=False,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=csv_missing.arrow_null_values(self.missing),
                strings_can_be_null=True,
            ),
        )

    def _refuse(self, error: pa.ArrowInvalid, *, ragged: list[Any], rows: int, mark: str) -> NoReturn:
        if ragged:
            ragged_row = ragged[0]
            row = ragged_row.number - 1
            if mark in ragged_row.text:
                self._refuse_open_quote(row)
            raise errors.BadDataError(
                f"{self.locate_row(row)} has {ragged_row.actual_columns:,} fields, "
                f"but the header has {self.columns:,}: {ragged_row.text[:SHOWN_CHARACTERS]!r}. "
                "Every row needs as many fields as the header; a field that contains the delimiter or a line break "
                "must be quoted."
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
        raise errors.BadDataError(
            f"{self.locate_row(row)}: a quote is opened and never closed before the file ends. "
            'Close it, and double a quote within quotes ("").'
        )
