"""Loads an uploaded table: finds its types over the whole of it, stores it as Parquet and profiles what was stored."""

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from shared import contract, errors
from shared.ingestion import contract as ingestion
from shared.ml import frames
from shared.ml import progress as progress_module
from workers.ingestion import (
    arrow_types,
    conversion,
    csv_text,
    inference,
    json_text,
    names,
    parquet_table,
    profile,
    store,
    texts,
    unpack,
)
from workers.ingestion import limits as limits_module

THREADS = 2
# How far the whole work is after each step, measured on a CSV of 1 GB.
INFERRED, STORED = 0.3, 0.7
MOST_NOTES = 100


class Options(Protocol):
    """What a load has to know of the command `ingestion.load`."""

    @property
    def format(self) -> ingestion.Format:
        """What the bytes are."""

    @property
    def compression(self) -> str:
        """How the bytes are packed: `none` or `gzip`."""

    @property
    def types(self) -> dict[str, contract.ColumnType]:
        """Types given by column name."""

    @property
    def csv(self) -> ingestion.CsvOptions:
        """How to read CSV."""


@dataclasses.dataclass(frozen=True)
class LoadedTable:
    """A table as it was stored."""

    rows: int
    columns: list[contract.Column]
    bytes: int
    """Size of the Parquet file."""
    sha256: str
    """Hash of the Parquet file, in hexadecimal."""
    profile: list[dict[str, Any]]
    """One JSON document for each column; see `profile.profile_parquet`."""
    notes: list[str]
    """What was detected or changed, each in a sentence."""


def load_table(
    source: Path,
    *,
    target: Path,
    options: Options,
    scratch: Path,
    limits: limits_module.Limits | None = None,
    threads: int = THREADS,
    progress: progress_module.Progress = progress_module.ignore,
) -> LoadedTable:
    """Read `source`, write it as Parquet to the new file `target`, and describe it.

    Files that are needed on the way go to the folder `scratch`, which the caller removes. Raises BadDataError with the
    place and value that is wrong, and LimitExceededError when the data is larger than the limits.
    """
    work = _Work(target, types=options.types, limits=limits or limits_module.Limits(), threads=threads, tell=progress)
    unpacked = unpack.unpack(source, compression=options.compression, scratch=scratch, limits=work.limits)
    try:
        if options.format == "parquet":
            notes = work.store_parquet(unpacked)
        elif options.format == "csv":
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
    limits: limits_module.Limits
    threads: int
    tell: progress_module.Progress
    stored: frames.FrameWriter | None = None

    def store_texts(self, table: texts.Texts) -> list[str]:
        """Find the types of a table of text, store it, and give the notes."""
        names.check_overrides(self.types, names=table.names)
        found = inference.infer(
            table,
            overrides=self.types,
            limits=self.limits,
            threads=self.threads,
            progress=self._progress(0.0, INFERRED),
        )
        missing = pa.array(table.missing, pa.string())
        conversions = [
            conversion.TextConversion(name, kind=kind, missing=missing, place=table.place)
            for name, kind in zip(table.names, found.types, strict=True)
        ]
        columns = _columns(table.names, found.types)
        notes = self._store(table.batches(), columns=columns, conversions=conversions)
        return [*table.notes, *found.notes, *notes]

    def store_parquet(self, path: Path) -> list[str]:
        """Store a table that has types of its own, and give the notes."""
        with parquet_table.opened(path, limits=self.limits) as file:
            column_names, renamed = names.settle_names(file.schema_arrow.names, limits=self.limits)
            names.check_overrides(self.types, names=column_names)
            conversions = [
                arrow_types.ArrowConversion(name, source=_plain(field.type), given=self.types.get(name))
                for name, field in zip(column_names, file.schema_arrow, strict=True)
            ]
            columns = _columns(column_names, [one.kind for one in conversions])
            pieces = parquet_table.pieces(file, names=column_names, limits=self.limits)
            return [*renamed, *self._store(pieces, columns=columns, conversions=conversions)]

    def described(self, notes: list[str]) -> LoadedTable:
        """Profile what was stored, and describe it all."""
        stored = self.stored
        if stored is None or stored.rows == 0:
            raise errors.BadDataError("The table has no rows; a dataset needs at least one row below its header.")
        profiled = profile.profile_parquet(self.target, columns=stored.columns, progress=self._progress(STORED, 1.0))
        return LoadedTable(
            rows=stored.rows,
            columns=stored.columns,
            bytes=stored.bytes,
            sha256=stored.sha256,
            profile=profiled,
            notes=_capped(notes),
        )

    def _store(
        self,
        batches: Iterator[tuple[float, pa.RecordBatch]],
        *,
        columns: list[contract.Column],
        conversions: Sequence[_Conversion],
    ) -> list[str]:
        tell, rows = self._progress(INFERRED, STORED), 0
        with (
            store.TableWriter(self.target, columns=columns) as writer,
            concurrent.futures.ThreadPoolExecutor(self.threads) as pool,
        ):
            for fraction, batch in batches:
                first_rows = itertools.repeat(rows + 1)
                writer.write(list(pool.map(_convert, conversions, batch.columns, first_rows)))
                rows += batch.num_rows
                tell(fraction, f"storing, row {rows:,}")
        self.stored = writer.frame
        return [note for one in conversions for note in one.notes()]

    def _progress(self, start: float, end: float) -> progress_module.Progress:
        return lambda fraction, message: self.tell(start + (end - start) * min(fraction, 1.0), message)


def _convert(one: _Conversion, array: pa.Array, first_row: int) -> pa.Array:
    return one.convert(array, first_row)


def _columns(column_names: list[str], types: list[contract.ColumnType]) -> list[contract.Column]:
    return [contract.Column(name=name, type=kind) for name, kind in zip(column_names, types, strict=True)]


def _plain(kind: pa.DataType) -> pa.DataType:
    """Give the type of the values, when the file keeps them in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _capped(notes: list[str]) -> list[str]:
    rest = len(notes) - MOST_NOTES
    return notes if rest <= 0 else [*notes[:MOST_NOTES], f"There are {rest:,} more notes like these."]
