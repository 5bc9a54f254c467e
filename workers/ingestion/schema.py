"""How the columns of two versions differ, and what they have in common."""

import dataclasses
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared import contract, errors
from shared.ingestion.contract import Retyped, SchemaChanges
from shared.ml import frames

SHOWN = 10


def changes(
    before: list[contract.Column], now: list[contract.Column], *, seen: list[contract.Column], against: int
) -> SchemaChanges:
    """Compare the columns of the version `against` with those of the new one, and with those seen in the data."""
    old = {column.name: column.type for column in before}
    return SchemaChanges(
        against=against,
        added=[column.name for column in now if column.name not in old],
        gone=[name for name in old if name not in {column.name for column in seen}],
        retyped=[
            Retyped(name=column.name, before=old[column.name], now=column.type)
            for column in now
            if old.get(column.name, column.type) != column.type
        ],
    )


def refuse(name: str, found: SchemaChanges) -> None:
    """Raise BadDataError when there is any change."""
    retyped = [f"{one.name!r} from {one.before} to {one.now}" for one in found.retyped]
    said = [
        f"{what}: {', '.join(names[:SHOWN])}{'' if len(names) <= SHOWN else f' and {len(names) - SHOWN:,} more'}"
        for what, names in (("added", found.added), ("gone", found.gone), ("retyped", retyped))
        if names
    ]
    if said:
        raise errors.BadDataError(
            f"The columns differ from those of {name}@{found.against} ({'; '.join(said)}), and `on_schema_change` is "
            "'fail'. Say 'allow', or send a table with the same columns."
        )


def union(before: Path, after: Path, *, notes: list[str]) -> list[contract.Column]:
    """Give the columns that hold the rows of both files; BadDataError when one would lose or change a value.

    A column without any value has any type. Whole numbers become numbers beside others, and dates become times, at
    midnight in UTC; nothing else is converted.
    """
    old, new = _column_types(before), _column_types(after)
    joined = {name: _join(old.get(name), new.get(name)) for name in (*old, *(name for name in new if name not in old))}
    clashing = [name for name, kind in joined.items() if kind is None]
    if clashing:
        clashes = [f"{name!r} is {old[name].type} there and {new[name].type} here" for name in clashing]
        reasons = [note for note in notes if any(f"Column {name!r} " in note for name in clashing)]
        raise errors.BadDataError(
            f"The rows can't be appended to the latest version: column {'; column '.join(clashes[:SHOWN])}. "
            f"{' '.join([*reasons[:SHOWN], _remedy(old, clashing)])}"
        )
    return [contract.Column(name=name, type=kind) for name, kind in joined.items() if kind]


def settled(path: Path) -> list[contract.Column]:
    """Give a file's columns whose type is beyond doubt, because they have values."""
    known = _column_types(path)
    return [contract.Column(name=name, type=one.type) for name, one in known.items() if one.has_values]


def align(batch: pa.RecordBatch, *, columns: list[contract.Column]) -> list[pa.Array]:
    """Give a batch's values for these columns, null where it has none; BadDataError when a value would change."""
    return [_aligned(batch, column) for column in columns]


@dataclasses.dataclass(frozen=True)
class _Known:
    type: contract.ColumnType
    has_values: bool


def _column_types(path: Path) -> dict[str, _Known]:
    metadata = parquet.read_metadata(path)
    groups = [metadata.row_group(position) for position in range(metadata.num_row_groups)]
    return {
        column.name: _Known(
            column.type,
            any(_has_values(group.column(position)) for group in groups),
        )
        for position, column in enumerate(frames.read_columns(path))
    }


def _has_values(chunk: parquet.ColumnChunkMetaData) -> bool:
    """Tell whether a column of a row group has values; one that does not say so may have."""
    known = chunk.statistics
    return known is None or not known.has_null_count or int(known.null_count) < int(chunk.num_values)


def _join(old: _Known | None, new: _Known | None) -> contract.ColumnType | None:
    """Give the type that holds the values of both as they are; None when there is none."""
    known = [one for one in (old, new) if one is not None]
    types = {one.type for one in known if one.has_values} or {known[0].type}
    if types == {"integer", "number"}:
        return "number"
    if types == {"date", "timestamp"}:
        return "timestamp"
    return types.pop() if len(types) == 1 else None


def _remedy(old: dict[str, _Known], clashing: list[str]) -> str:
    """Say what helps: everything can be read as text, but what is stored already can't be read anew."""
    anew = "load all rows anew with mode 'replace'."
    if all(old[name].type == "string" for name in clashing):
        return f"Give the type 'string' in `types`, or {anew}"
    return anew[0].upper() + anew[1:]


def _aligned(batch: pa.RecordBatch, column: contract.Column) -> pa.Array:
    kind = frames.PHYSICAL_TYPES[column.type]
    position = batch.schema.get_field_index(column.name)
    if position < 0:
        return pa.nulls(batch.num_rows, kind)
    values = batch.column(position)
    if values.null_count == len(values):
        return pa.nulls(batch.num_rows, kind)
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise errors.BadDataError(
            f"Column {column.name!r} holds whole numbers on one side and fractions on the other, and some are beyond "
            f"2^53, so that they can't be kept exactly as numbers ({error}). Load all rows anew with mode "
            "'replace' and the type 'string'."
        ) from error
