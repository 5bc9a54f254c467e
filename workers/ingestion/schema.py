"""Compares the columns of two versions, and merges them for an append."""

import dataclasses
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared import contract, errors
from shared.ingestion.contract import Retyped, SchemaChanges
from shared.ml import frames

MAX_SHOWN = 10


def compare(
    previous: list[contract.Column], new: list[contract.Column], *, loaded: list[contract.Column], against: int
) -> SchemaChanges:
    """Compare the columns of the version `against` with those of the new version, and with those of the loaded data."""
    old_types = {column.name: column.type for column in previous}
    return SchemaChanges(
        against=against,
        added=[column.name for column in new if column.name not in old_types],
        gone=[name for name in old_types if name not in {column.name for column in loaded}],
        retyped=[
            Retyped(name=column.name, before=old_types[column.name], now=column.type)
            for column in new
            if old_types.get(column.name, column.type) != column.type
        ],
    )


def refuse_changes(name: str, changes: SchemaChanges) -> None:
    """Raise BadDataError when there is any change."""
    retyped = [f"{column.name!r} from {column.before} to {column.now}" for column in changes.retyped]
    descriptions = [
        f"{change}: {', '.join(names[:MAX_SHOWN])}"
        f"{'' if len(names) <= MAX_SHOWN else f' and {len(names) - MAX_SHOWN:,} more'}"
        for change, names in (("added", changes.added), ("gone", changes.gone), ("retyped", retyped))
        if names
    ]
    if descriptions:
        raise errors.BadDataError(
            f"The columns differ from those of {name}@{changes.against} ({'; '.join(descriptions)}), and "
            "`on_schema_change` is 'fail'. Set it to 'allow', or send a table with the same columns."
        )


def merge(previous: Path, loaded: Path, *, notes: list[str]) -> list[contract.Column]:
    """Choose columns that hold the rows of both files; BadDataError when a value would be lost or changed.

    A column without values fits any type. Whole numbers become numbers beside fractions, and dates become times, at
    midnight in UTC; nothing else is converted.
    """
    old, new = _read_columns(previous), _read_columns(loaded)
    merged = {
        name: _find_common_type(old.get(name), new.get(name))
        for name in (*old, *(name for name in new if name not in old))
    }
    clashing = [name for name, column_type in merged.items() if column_type is None]
    if clashing:
        clashes = [
            f"{name!r} is {old[name].type} in that version and {new[name].type} in the new data" for name in clashing
        ]
        reasons = [note for note in notes if any(f"Column {name!r} " in note for name in clashing)]
        raise errors.BadDataError(
            f"The rows can't be appended to the latest version: column {'; column '.join(clashes[:MAX_SHOWN])}. "
            f"{' '.join([*reasons[:MAX_SHOWN], _describe_remedy(old, clashing)])}"
        )
    return [contract.Column(name=name, type=column_type) for name, column_type in merged.items() if column_type]


def list_columns_with_values(path: Path) -> list[contract.Column]:
    """List a file's columns that have values, and so a type that is certain."""
    columns = _read_columns(path)
    return [contract.Column(name=name, type=column.type) for name, column in columns.items() if column.has_values]


def list_common(previous: Path, loaded: Path) -> list[contract.Column]:
    """List the columns that two files share, with types in which their values can be compared."""
    old, new = _read_columns(previous), _read_columns(loaded)
    common = {name: _find_common_type(old[name], new[name]) for name in new if name in old}
    return [
        contract.Column(name=name, type=column_type) for name, column_type in common.items() if column_type is not None
    ]


def align(batch: pa.RecordBatch, *, columns: list[contract.Column]) -> list[pa.Array]:
    """Convert a batch to these columns, null where it lacks one; BadDataError when a value would change."""
    return [_align_column(batch, column) for column in columns]


@dataclasses.dataclass(frozen=True)
class _StoredColumn:
    type: contract.ColumnType
    has_values: bool


def _read_columns(path: Path) -> dict[str, _StoredColumn]:
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(position) for position in range(metadata.num_row_groups)]
    return {
        column.name: _StoredColumn(
            column.type,
            any(_has_values(group.column(position)) for group in groups),
        )
        for position, column in enumerate(frames.read_columns(path))
    }


def _has_values(chunk: parquet.ColumnChunkMetaData) -> bool:
    """Check whether a column of a row group may have values; without statistics it may."""
    statistics = chunk.statistics
    return statistics is None or not statistics.has_null_count or int(statistics.null_count) < int(chunk.num_values)


def _find_common_type(old: _StoredColumn | None, new: _StoredColumn | None) -> contract.ColumnType | None:
    """Find the type that holds the values of both columns unchanged; None when there is none."""
    columns = [column for column in (old, new) if column is not None]
    types = {column.type for column in columns if column.has_values} or {columns[0].type}
    if types == {"integer", "number"}:
        return "number"
    if types == {"date", "timestamp"}:
        return "timestamp"
    return types.pop() if len(types) == 1 else None


def _describe_remedy(old: dict[str, _StoredColumn], clashing: list[str]) -> str:
    """Describe what helps: new data can be read as text, but rows that are already stored can't be read again."""
    reload = "load all rows again with mode 'replace'."
    if all(old[name].type == "string" for name in clashing):
        return f"Set the type 'string' in `types`, or {reload}"
    return reload[0].upper() + reload[1:]


def _align_column(batch: pa.RecordBatch, column: contract.Column) -> pa.Array:
    arrow_type = frames.PHYSICAL_TYPES[column.type]
    position = batch.schema.get_field_index(column.name)
    if position < 0:
        return pa.nulls(batch.num_rows, arrow_type)
    values = batch.column(position)
    if values.null_count == len(values):
        return pa.nulls(batch.num_rows, arrow_type)
    try:
        return values.cast(arrow_type)
    except pa.ArrowInvalid as error:
        raise errors.BadDataError(
            f"Column {column.name!r} holds whole numbers in one of the two tables and fractions in the other, and some "
            f"are beyond 2^53, so they can't be kept exactly as numbers ({error}). Load all rows again with mode "
            "'replace' and the type 'string'."
        ) from error
