"""Loads a table: infers its types from all of its rows, stores it as typed Parquet, and profiles the stored columns.

docs/decisions/ingestion.md, "A CSV is read once in the usual case"
"""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from shared import contract, errors
from shared.ingestion.contract import CsvOptions, Format, Incremental
from shared.progress import Progress, no_progress
from workers.ingestion import column_threads, conversion, inference, names, prefetch, table_writer, text_table
from workers.ingestion.formats import arrow_types, csv_text, json_text, parquet_table, unpack
from workers.ingestion.limits import Limits

THREADS = 2
# The progress of the load once the rows are stored; then only a wide table still has to be profiled.
STORED_FRACTION = 0.9
# Batches to read before types are guessed, so that a rare value seldom contradicts the guess: some 16 MB of CSV.
HEAD_BATCHES = 8
MAX_NOTES = 100


class Options(Protocol):
    """The fields of the command `ingestion.load` that are used here."""

    @property
    def format(self) -> Format | None:
        """The format of the bytes; None stands for CSV."""

    @property
    def compression(self) -> str | None:
        """How the bytes are compressed: `none` or `gzip`; None stands for `none`."""

    @property
    def types(self) -> dict[str, contract.ColumnType]:
        """Types by column name that replace the inferred ones."""

    @property
    def csv(self) -> CsvOptions:
        """How to read CSV."""

    @property
    def key(self) -> list[str]:
        """Columns that identify a row."""

    @property
    def watermark(self) -> Incremental | None:
        """Load only what is new."""


@dataclasses.dataclass(frozen=True)
class LoadedTable(table_writer.StoredTable):
    """A table as it was stored, and what was noticed while loading it."""

    notes: list[str]
    """What was detected or changed, each in a sentence."""


def load_table(
    source: Path,
    *,
    target: Path,
    options: Options,
    scratch: Path,
    limits: Limits | None = None,
    prior: Sequence[contract.Column] = (),
    threads: int = THREADS,
    progress: Progress = no_progress,
) -> LoadedTable:
    """Read `source`, write it as Parquet to the new file `target`, and describe it.

    Temporary files go to the folder `scratch`, which the caller removes. Raises BadDataError with the place and value
    that is wrong, and LimitExceededError when the data is larger than the limits. Texts keep the type that they have
    in the `prior` columns, where that is text or a time: 12345 is a postcode when the earlier postcodes were text.
    """
    limits = limits or Limits()
    table_load = _TableLoad(
        target,
        types=options.types,
        prior=prior,
        limits=limits,
        threads=threads,
        progress=progress,
    )
    unpacked = unpack.unpack(source, compression=options.compression or "none", scratch=scratch, limits=limits)
    try:
        if options.format == "parquet":
            notes = table_load.store_parquet(unpacked, decides=_find_deciding_columns(options))
        elif options.format in ("csv", None):
            notes = table_load.store_texts(
                csv_text.open_csv(unpacked, options=options.csv, scratch=scratch, limits=limits)
            )
        else:
            lines = options.format == "ndjson"
            notes = table_load.store_texts(json_text.open_json(unpacked, lines=lines, scratch=scratch, limits=limits))
        return table_load.finish(notes)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class NoRowsError(errors.BadDataError):
    """The table has no row to store."""


class _WrongGuessError(Exception):
    """A row does not fit the types guessed from the first rows."""


class _Conversion(Protocol):
    """Converts a column, batch by batch, to its type."""

    def convert(self, array: pa.Array, first_row: int) -> pa.Array: ...

    def notes(self) -> list[str]: ...


@dataclasses.dataclass
class _TableLoad:
    """One table while it is being loaded."""

    target: Path
    _: dataclasses.KW_ONLY
    types: dict[str, contract.ColumnType]
    prior: Sequence[contract.Column]
    limits: Limits
    threads: int
    progress: Progress
    stored: table_writer.TableWriter | None = None

    def store_texts(self, table: text_table.TextTable) -> list[str]:
        """Infer the types of a table of text, store it, and return the notes.

        Types are inferred from all rows. They are guessed from the first ones, and rows are stored as guessed; when a
        later row proves a guess wrong, the table is read to its end and then stored again.
        """
        names.require_columns(self.types, names=table.names, field="types")
        overrides = self._keep_prior_types(table) | self.types
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            columnwise = column_threads.ColumnThreads(pool, count=self.threads)
            inferred = inference.Inference(table, overrides=overrides, limits=self.limits, columnwise=columnwise)
            batches = self._prefetch(table.batches())
            notes = self._store_as_guessed(table, inferred, batches, columnwise)
        if notes is None:
            types = inferred.types
            conversions = _create_conversions(table, types)
            notes = self._store(table.batches(), columns=_build_columns(table.names, types), conversions=conversions)
        return [*table.notes, *inferred.notes, *notes]

    def _store_as_guessed(
        self,
        table: text_table.TextTable,
        inferred: inference.Inference,
        batches: Iterator[tuple[float, pa.RecordBatch]],
        columnwise: column_threads.ColumnThreads,
    ) -> list[str] | None:
        """Store the rows with the types inferred from the first of them; None when these don't fit all rows."""
        inferring = ((fraction, batch.num_rows, inferred.update(batch)) for fraction, batch in batches)
        head = list(itertools.islice(inferring, HEAD_BATCHES))
        guess = inferred.types
        conversions, rows = _create_conversions(table, guess), 0
        try:
            with self._open_writer(_build_columns(table.names, guess)) as writer:
                for fraction, count, chunks in itertools.chain(head, inferring):
                    if inferred.types != guess:
                        raise _WrongGuessError
                    first_rows = itertools.repeat(rows + 1)
                    convert = conversion.TextConversion.convert_chunk
                    writer.write(columnwise.map(convert, conversions, chunks, first_rows))
                    rows += count
                    self.progress(fraction * STORED_FRACTION, f"inferring types and storing, row {rows:,}")
        except _WrongGuessError:
            for fraction, *_ in inferring:
                self.progress(fraction * STORED_FRACTION, f"inferring types, row {inferred.rows:,}")
            return None
        self.stored = writer
        return [note for column_conversion in conversions for note in column_conversion.notes()]

    def store_parquet(self, path: Path, *, decides: dict[str, Literal["key", "watermark"]]) -> list[str]:
        """Store a table that already has types, and return the notes; columns in `decides` are never rounded."""
        with parquet_table.open_parquet(path, limits=self.limits) as file:
            column_names, renamed = names.resolve_names(file.schema.names, limits=self.limits)
            names.require_columns(self.types, names=column_names, field="types")
            conversions = [
                arrow_types.ArrowConversion(
                    name, source=_find_value_type(field.type), override=self.types.get(name), decides=decides.get(name)
                )
                for name, field in zip(column_names, file.schema, strict=True)
            ]
            columns = _build_columns(column_names, [column_conversion.column_type for column_conversion in conversions])
            batches = parquet_table.iterate_batches(file, names=column_names, limits=self.limits)
            return [*renamed, *self._store(batches, columns=columns, conversions=conversions)]

    def finish(self, notes: list[str]) -> LoadedTable:
        """Finish the profile of the stored table, and return its description with the notes."""
        stored = self.stored
        if stored is None or stored.rows == 0:
            raise NoRowsError("The table has no rows; a dataset needs at least one row below its header.")
        table = stored.describe(
            threads=self.threads,
            progress=lambda fraction, message: self.progress(
                STORED_FRACTION + (1 - STORED_FRACTION) * fraction, message
            ),
        )
        return LoadedTable(**vars(table), notes=_cap_notes(notes))

    def _keep_prior_types(self, table: text_table.TextTable) -> dict[str, contract.ColumnType]:
        """Collect the types that columns of text keep from the prior columns; JSON numbers are not text."""
        candidates = dict(zip(table.names, table.candidates, strict=True))
        return {
            column.name: column.type
            for column in self.prior
            if column.type in ("string", "timestamp") and "timestamp" in candidates.get(column.name, ())
        }

    def _store(
        self,
        batches: Iterator[tuple[float, pa.RecordBatch]],
        *,
        columns: list[contract.Column],
        conversions: Sequence[_Conversion],
    ) -> list[str]:
        rows = 0
        with self._open_writer(columns) as writer, concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            columnwise = column_threads.ColumnThreads(pool, count=self.threads)
            for fraction, batch in self._prefetch(batches):
                first_rows = itertools.repeat(rows + 1)
                writer.write(columnwise.map(_convert, conversions, batch.columns, first_rows))
                rows += batch.num_rows
                self.progress(fraction * STORED_FRACTION, f"storing, row {rows:,}")
        self.stored = writer
        return [note for column_conversion in conversions for note in column_conversion.notes()]

    def _prefetch(self, batches: Iterator[tuple[float, pa.RecordBatch]]) -> Iterator[tuple[float, pa.RecordBatch]]:
        return prefetch.prefetch(batches) if self.threads > 1 else batches

    def _open_writer(self, columns: list[contract.Column]) -> table_writer.TableWriter:
        return table_writer.TableWriter(self.target, columns=columns, in_background=self.threads > 1)


def _convert(column_conversion: _Conversion, array: pa.Array, first_row: int) -> pa.Array:
    return column_conversion.convert(array, first_row)


def _find_deciding_columns(options: Options) -> dict[str, Literal["key", "watermark"]]:
    key: dict[str, Literal["key", "watermark"]] = dict.fromkeys(options.key, "key")
    return {**key, options.watermark.column: "watermark"} if options.watermark else key


def _create_conversions(
    table: text_table.TextTable, types: list[contract.ColumnType]
) -> list[conversion.TextConversion]:
    missing = pa.array(table.missing, pa.string())
    return [
        conversion.TextConversion(name, column_type=column_type, missing=missing, locate_row=table.locate_row)
        for name, column_type in zip(table.names, types, strict=True)
    ]


def _build_columns(column_names: list[str], types: list[contract.ColumnType]) -> list[contract.Column]:
    return [contract.Column(name=name, type=column_type) for name, column_type in zip(column_names, types, strict=True)]


def _find_value_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type of the values; for a dictionary, that of its values."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def _cap_notes(notes: list[str]) -> list[str]:
    excess = len(notes) - MAX_NOTES
    return notes if excess <= 0 else [*notes[:MAX_NOTES], f"There are {excess:,} more notes like these."]
