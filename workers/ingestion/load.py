"""Loads an uploaded table: finds its types over the whole of it, stores it as Parquet and profiles what was stored."""

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
# How far the whole work is once the rows are stored; only a wide table has its profile still to come.
STORED = 0.9
# What is read before types are guessed, so that a rare value seldom comes as a surprise later: some 16 MB of CSV.
HEAD_BATCHES = 8
MOST_NOTES = 100


class Options(Protocol):
    """What a load has to know of the command `ingestion.load`."""

    @property
    def format(self) -> Format | None:
        """What the bytes are; CSV when it is not said."""

    @property
    def compression(self) -> str | None:
        """How the bytes are packed: `none` or `gzip`; not at all when it is not said."""

    @property
    def types(self) -> dict[str, contract.ColumnType]:
        """Types given by column name."""

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
    """A table as it was stored, and what was noticed on the way."""

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

    Files that are needed on the way go to the folder `scratch`, which the caller removes. Raises BadDataError with the
    place and value that is wrong, and LimitExceededError when the data is larger than the limits. Texts become what
    they are in the `prior` columns, where these are text or times: 12345 is a postcode when the postcodes before were.
    """
    work = _Work(
        target,
        types=options.types,
        prior=prior,
        limits=limits or Limits(),
        threads=threads,
        tell=progress,
    )
    unpacked = unpack.unpack(source, compression=options.compression or "none", scratch=scratch, limits=work.limits)
    try:
        if options.format == "parquet":
            notes = work.store_parquet(unpacked, decides=_deciding(options))
        elif options.format in ("csv", None):
            notes = work.store_texts(
                csv_text.open_csv(unpacked, options=options.csv, scratch=scratch, limits=work.limits)
            )
        else:
            lines = options.format == "ndjson"
            notes = work.store_texts(json_text.open_json(unpacked, lines=lines, scratch=scratch, limits=work.limits))
        return work.described(notes)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class NoRowsError(errors.BadDataError):
    """There is no row to store."""


class _WrongGuessError(Exception):
    """A row does not fit the types that the rows before it had."""


class _Conversion(Protocol):
    """A column on its way to its type."""

    def convert(self, array: pa.Array, first_row: int) -> pa.Array: ...

    def notes(self) -> list[str]: ...


@dataclasses.dataclass
class _Work:
    """One load under way."""

    target: Path
    _: dataclasses.KW_ONLY
    types: dict[str, contract.ColumnType]
    prior: Sequence[contract.Column]
    limits: Limits
    threads: int
    tell: Progress
    stored: table_writer.TableWriter | None = None

    def store_texts(self, table: text_table.Texts) -> list[str]:
        """Find the types of a table of text, store it, and give the notes.

        Types are found over all rows. They are guessed from the first ones, and stored as guessed; when a later row
        proves one wrong, the table is read to its end and then stored anew.
        """
        names.check_known(self.types, names=table.names, field="types")
        overrides = self._as_before(table) | self.types
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            shared_out = column_threads.Shares(pool, count=self.threads)
            found = inference.Inference(table, overrides=overrides, limits=self.limits, shared_out=shared_out)
            batches = self._ahead(table.batches())
            notes = self._store_as_guessed(table, found, batches, shared_out)
        if notes is None:
            conversions = _conversions(table, found.types)
            notes = self._store(table.batches(), columns=_columns(table.names, found.types), conversions=conversions)
        return [*table.notes, *found.notes, *notes]

    def _store_as_guessed(
        self,
        table: text_table.Texts,
        found: inference.Inference,
        batches: Iterator[tuple[float, pa.RecordBatch]],
        shared_out: column_threads.Shares,
    ) -> list[str] | None:
        """Store the rows with the types that the first of them have; None when these don't fit all."""
        taken = ((fraction, batch.num_rows, found.take(batch)) for fraction, batch in batches)
        head = list(itertools.islice(taken, HEAD_BATCHES))
        guess = found.types
        conversions, rows = _conversions(table, guess), 0
        try:
            with self._writer(_columns(table.names, guess)) as writer:
                for fraction, count, readings in itertools.chain(head, taken):
                    if found.types != guess:
                        raise _WrongGuessError
                    first_rows = itertools.repeat(rows + 1)
                    convert = conversion.TextConversion.convert_reading
                    writer.write(shared_out.map(convert, conversions, readings, first_rows))
                    rows += count
                    self.tell(fraction * STORED, f"finding types and storing, row {rows:,}")
        except _WrongGuessError:
            for fraction, *_ in taken:
                self.tell(fraction * STORED, f"finding types, row {found.rows:,}")
            return None
        self.stored = writer
        return [note for one in conversions for note in one.notes()]

    def store_parquet(self, path: Path, *, decides: dict[str, Literal["key", "watermark"]]) -> list[str]:
        """Store a table that has types of its own, and give the notes; what `decides` which rows stay isn't rounded."""
        with parquet_table.opened(path, limits=self.limits) as file:
            column_names, renamed = names.settle_names(file.schema_arrow.names, limits=self.limits)
            names.check_known(self.types, names=column_names, field="types")
            conversions = [
                arrow_types.ArrowConversion(
                    name, source=_plain(field.type), given=self.types.get(name), decides=decides.get(name)
                )
                for name, field in zip(column_names, file.schema_arrow, strict=True)
            ]
            columns = _columns(column_names, [one.kind for one in conversions])
            pieces = parquet_table.pieces(file, names=column_names, limits=self.limits)
            return [*renamed, *self._store(pieces, columns=columns, conversions=conversions)]

    def described(self, notes: list[str]) -> LoadedTable:
        """Profile what was stored, and describe it all."""
        stored = self.stored
        if stored is None or stored.rows == 0:
            raise NoRowsError("The table has no rows; a dataset needs at least one row below its header.")
        described = stored.describe(
            threads=self.threads,
            progress=lambda fraction, message: self.tell(STORED + (1 - STORED) * fraction, message),
        )
        return LoadedTable(**vars(described), notes=_capped(notes))

    def _as_before(self, table: text_table.Texts) -> dict[str, contract.ColumnType]:
        """Give the types that texts are to have because they had them before; numbers of JSON are no texts."""
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
        with self._writer(columns) as writer, concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            shared_out = column_threads.Shares(pool, count=self.threads)
            for fraction, batch in self._ahead(batches):
                first_rows = itertools.repeat(rows + 1)
                writer.write(shared_out.map(_convert, conversions, batch.columns, first_rows))
                rows += batch.num_rows
                self.tell(fraction * STORED, f"storing, row {rows:,}")
        self.stored = writer
        return [note for one in conversions for note in one.notes()]

    def _ahead(self, batches: Iterator[tuple[float, pa.RecordBatch]]) -> Iterator[tuple[float, pa.RecordBatch]]:
        return prefetch.ahead(batches) if self.threads > 1 else batches

    def _writer(self, columns: list[contract.Column]) -> table_writer.TableWriter:
        return table_writer.TableWriter(self.target, columns=columns, is_ahead=self.threads > 1)


def _convert(one: _Conversion, array: pa.Array, first_row: int) -> pa.Array:
    return one.convert(array, first_row)


def _deciding(options: Options) -> dict[str, Literal["key", "watermark"]]:
    key: dict[str, Literal["key", "watermark"]] = dict.fromkeys(options.key, "key")
    return {**key, options.watermark.column: "watermark"} if options.watermark else key


def _conversions(table: text_table.Texts, types: list[contract.ColumnType]) -> list[conversion.TextConversion]:
    missing = pa.array(table.missing, pa.string())
    return [
        conversion.TextConversion(name, kind=kind, missing=missing, place=table.place)
        for name, kind in zip(table.names, types, strict=True)
    ]


def _columns(column_names: list[str], types: list[contract.ColumnType]) -> list[contract.Column]:
    return [contract.Column(name=name, type=kind) for name, kind in zip(column_names, types, strict=True)]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Give the type of the values, when the file keeps them in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _capped(notes: list[str]) -> list[str]:
    rest = len(notes) - MOST_NOTES
    return notes if rest <= 0 else [*notes[:MOST_NOTES], f"There are {rest:,} more notes like these."]
