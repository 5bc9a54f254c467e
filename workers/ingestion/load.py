"""Loads a table: infers its types from all of its rows, stores it as typed Parquet, and profiles the stored columns.

docs/decisions/ingestion.md, "A CSV is read once in the usual case"
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from shared import contract, errors
from shared.ingestion.reading import CsvOptions
from shared.progress import Progress, no_progress
from workers.ingestion import load_options, names, pandas_index, table_store, text_load
from workers.ingestion.formats import arrow_types, csv_arrow, csv_text, json_text, parquet_table, unpack
from workers.ingestion.limits import Limits
from workers.ingestion.load_options import Options
from workers.ingestion.styles import declared
from workers.tabular import table_writer

THREADS = 2
MAX_NOTES = 100
_NO_TYPES: Mapping[str, contract.ColumnType] = types.MappingProxyType({})


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
    like: Mapping[str, contract.ColumnType] = _NO_TYPES,
    threads: int = THREADS,
    progress: Progress = no_progress,
) -> LoadedTable:
    """Read `source`, write it as Parquet to the new file `target`, and describe it.

    Temporary files go to the folder `scratch`, which the caller removes. Raises BadDataError with the place and value
    that is wrong, and LimitExceededError when the data is larger than the limits. Texts keep the type that they have
    in the `prior` columns, where that is text or a time: 12345 is a postcode when the earlier postcodes were text.
    Columns that `like` names have its types, unless the options give others.
    """
    limits = limits or Limits()
    store = table_store.TableStore(target, limits=limits, threads=threads, progress=progress)
    text_store = text_load.TextLoad(
        store,
        types=options.types,
        prior=prior,
        like=like,
        reading=options.reading,
        used=load_options.list_used_columns(options) | like.keys(),
    )
    unpacked = unpack.unpack(source, compression=options.compression or "none", scratch=scratch, limits=limits)
    try:
        if options.format == "parquet":
            notes = _store_parquet(store, unpacked, options=options, like=like)
        elif options.format in ("csv", None):
            notes = _store_csv(text_store, unpacked, options=options.reading, scratch=scratch, limits=limits)
        else:
            lines = options.format == "ndjson"
            notes = text_store.store_texts(json_text.open_json(unpacked, lines=lines, scratch=scratch, limits=limits))
        return _finish(store, notes)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _store_csv(
    text_store: text_load.TextLoad, path: Path, *, options: CsvOptions, scratch: Path, limits: Limits
) -> list[str]:
    """Store a CSV file as it is, or when a row turns out to be uneven, after it was rewritten."""
    try:
        table = csv_text.open_csv(path, options=options, scratch=scratch, limits=limits)
        return text_store.store_texts(table)
    except csv_arrow.UnevenRowError:
        table = csv_text.open_csv(path, options=options, scratch=scratch, limits=limits, is_tidy=False)
        return text_store.store_texts(table)


class NoRowsError(errors.BadDataError):
    """The table has no row to store."""


def _store_parquet(
    store: table_store.TableStore, path: Path, *, options: Options, like: Mapping[str, contract.ColumnType]
) -> list[str]:
    """Store a table that already has types, and return the notes; columns that decide are never rounded."""
    decides, types_by_name = _find_deciding_columns(options), {**like, **options.types}
    with parquet_table.open_parquet(path, limits=store.limits) as file:
        column_names, renamed = names.resolve_names(file.schema.names, limits=store.limits)
        names.require_columns(options.types, names=column_names, field="types")
        positions, index_notes = _choose_columns(file, column_names, options=options)
        stored_names = [column_names[position] for position in positions]
        conversions = [
            arrow_types.ArrowConversion(
                name,
                source=_find_value_type(file.schema.field(position).type),
                override=types_by_name.get(name),
                decides=decides.get(name),
                reading=options.reading,
            )
            for name, position in zip(stored_names, positions, strict=True)
        ]
        column_types = [column_conversion.column_type for column_conversion in conversions]
        read_by_style = {each.column_type for each in conversions if each.has_style}
        unused = declared.describe_unused(options.reading, read_by_style)
        columns = table_store.build_columns(stored_names, column_types)
        batches = (
            (fraction, batch.select(positions))
            for fraction, batch in parquet_table.iterate_batches(file, names=column_names, limits=store.limits)
        )
        stored_notes = store.store(batches, columns=columns, conversions=conversions)
        return [*renamed, *index_notes, *unused, *file.notes(column_names), *stored_notes]


def _choose_columns(
    file: parquet_table.ParquetTable, column_names: list[str], *, options: Options
) -> tuple[list[int], list[str]]:
    """Choose the columns of a Parquet file by position: those that the options name, or all but indexes."""
    if options.reading.columns is not None:
        names.require_columns(options.reading.columns, names=column_names, field="columns")
        return [column_names.index(name) for name in options.reading.columns], []
    left_out, notes = pandas_index.find_in_schema(file.file.schema_arrow, used=load_options.list_used_columns(options))
    return [position for position in range(len(column_names)) if position not in left_out], notes


def _finish(store: table_store.TableStore, notes: list[str]) -> LoadedTable:
    """Finish the profile of the stored table, and return its description with the notes."""
    stored = store.stored
    if stored is None or stored.rows == 0:
        raise NoRowsError("The table has no rows; a dataset needs at least one row below its header.")
    table = stored.describe(
        threads=store.threads,
        progress=lambda fraction, message: store.progress(
            table_store.STORED_FRACTION + (1 - table_store.STORED_FRACTION) * fraction, message
        ),
    )
    return LoadedTable(**vars(table), notes=_cap_notes([*notes, *stored.notes]))


def _find_deciding_columns(options: Options) -> dict[str, Literal["key", "watermark"]]:
    key: dict[str, Literal["key", "watermark"]] = dict.fromkeys(options.key, "key")
    return {**key, options.watermark.column: "watermark"} if options.watermark else key


def _find_value_type(arrow_type: pa.DataType) -> pa.DataType:
    """Return the type of the values; for a dictionary, that of its values."""
    return arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type


def _cap_notes(notes: list[str]) -> list[str]:
    excess = len(notes) - MAX_NOTES
    return notes if excess <= 0 else [*notes[:MAX_NOTES], f"There are {excess:,} more notes like these."]
