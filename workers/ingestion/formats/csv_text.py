"""Reads CSV as text in the order of its rows, and says on which line it is wrong."""

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

# A row must fit a block. Arrow reads some 35 blocks ahead, so larger ones cost memory: 8 MiB took 300 MB more than 2.
BLOCK_BYTES = 2 * 1024 * 1024
SHOWN_CHARACTERS = 120


def open_csv(path: Path, *, options: CsvOptions, scratch: Path, limits: Limits) -> text_table.Texts:
    """Find how a CSV file is written and give its columns as text; BadDataError where it is not well formed."""
    unpack.refuse_foreign_file(path, format_name="CSV")
    found = text_encoding.find_encoding(path, declared=options.encoding)
    text, skip_bytes = text_encoding.to_utf8(path, encoding=found, scratch=scratch)
    hint = csv_hint.read(text, skip_bytes=skip_bytes, declared=options.delimiter)
    skip_bytes += hint.bytes
    form = csv_dialect.find_dialect(text, skip_bytes=skip_bytes, declared=hint.delimiter, limits=limits)
    column_names, renamed = names.settle_names(form.header, limits=limits)
    missing = sorted({value.strip() for value in options.null_values})
    # Reading adds to these.
    notes = [*([found.note] if found.note else []), *hint.notes, *form.notes, *renamed]
    reader = _Reader(
        text,
        skip_bytes=skip_bytes + form.blank_bytes,
        skip_lines=hint.lines + form.blank_lines,
        delimiter=form.delimiter,
        names=column_names,
        missing=missing,
        notes=notes,
    )
    return text_table.Texts(
        names=column_names,
        batches=reader.batches,
        candidates=[text_table.ANY_TYPE] * len(column_names),
        missing=missing,
        notes=notes,
        place=reader.place,
    )


class _MarkedEnd(io.RawIOBase):
    """A file with one row of ours behind it: when that row is not read as itself, a quote was left open."""

    def __init__(self, path: Path, *, skip_bytes: int, row: bytes) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._file.seek(skip_bytes)
        self._row = row
        self._last = b"\n"
        self._ended = False
        self._rest = b""

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes: Arrow trusts that there are never more."""
        chunk = self._file.read(size)
        if len(chunk) < size and not self._ended:
            # The row joins the last block where it can, since Arrow wants a whole row in the first block.
            self._ended = True
            last = chunk[-1:] or self._last
            self._rest = self._row if last in b"\r\n" else b"\n" + self._row
        self._last = chunk[-1:] or self._last
        room = size - len(chunk)
        chunk, self._rest = chunk + self._rest[:room], self._rest[room:]
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

    def place(self, row: int) -> str:
        line = csv_dialect.find_line(
            self.path,
            skip_bytes=self.skip_bytes,
            delimiter=self.delimiter,
            row=row,
            one_column=self.columns == 1,
        )
        name = f"Row {row:,}" if row else "The header"
        return name if line is None else f"{name} (line {line + self.skip_lines:,})"

    def batches(self) -> Iterator[tuple[float, pa.RecordBatch]]:
        """Read all rows but the mark, which must be the last, and note at the end what was read as missing."""
        missing = csv_missing.Missing(self.missing, names=self.names)
        mark = secrets.token_hex(12)
        row = (mark + self.delimiter * (self.columns - 1) + "\n").encode()
        size, rows, ended = self.path.stat().st_size + 1, 0, False
        ragged: list[Any] = []
        with _MarkedEnd(self.path, skip_bytes=self.skip_bytes, row=row) as file:
            try:
                for batch in self._parsed(file, ragged=ragged):
                    part = batch
                    if part.num_rows and part.column(0)[-1].as_py() == mark:
                        part, ended = part.slice(0, part.num_rows - 1), True
                    rows += part.num_rows
                    if part.num_rows:
                        yield file.tell() / size, missing.find(part)
            except pa.ArrowInvalid as error:
                self._refuse(error, ragged=ragged, rows=rows, mark=mark)
        if not ended:
            self._refuse_open_quote(rows)
        self.notes.extend(note for note in missing.notes() if note not in self.notes)

    def _parsed(self, file: io.RawIOBase, *, ragged: list[Any]) -> Iterator[pa.RecordBatch]:
        """Parse in one thread, which keeps the order and lets a wrong row know its number."""

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
                # In a table of one column a blank line is a missing value.
                ignore_empty_lines=self.columns > 1,
                invalid_row_handler=note_ragged,
            ),
            convert_options=csv.ConvertOptions(
                # All of the file was looked at when its encoding was found.
                check_utf8=False,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=csv_missing.named(self.missing),
                strings_can_be_null=True,
            ),
        )

    def _refuse(self, error: pa.ArrowInvalid, *, ragged: list[Any], rows: int, mark: str) -> NoReturn:
        if ragged:
            wrong = ragged[0]
            row = wrong.number - 1
            if mark in wrong.text:
                self._refuse_open_quote(row)
            raise errors.BadDataError(
                f"{self.place(row)} has {wrong.actual_columns:,} fields, but the header has {self.columns:,}: "
                f"{wrong.text[:SHOWN_CHARACTERS]!r}. Every row needs as many fields as the header; "
                "a field that holds the delimiter or a line's end must be quoted."
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
            f"{self.place(row)}: a quote is opened and never closed before the file ends. "
            'Close it, and write a quote within quotes twice ("").'
        )
