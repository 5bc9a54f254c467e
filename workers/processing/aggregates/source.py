"""The columns that an aggregation reads, with its conditions computed."""

import dataclasses
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from shared import contract
from shared.ml import expressions, frames
from shared.processing.aggregates import AggregateDataset
from shared.recipe.expressions import columns_of, parse

_BATCH_ROWS = 65_536


@dataclasses.dataclass(frozen=True)
class Source:
    """A file with what an aggregation reads, and the names that its columns have in SQL."""

    path: Path
    columns: dict[str, tuple[str, contract.ColumnType]]
    """The name in SQL and the type of each column of the dataset."""
    conditions: dict[str, str]
    """The name in SQL of each condition's column of true and false."""


def prepare(command: AggregateDataset, dataset: Path, *, copy: Path) -> Source:
    """Compute the conditions of an aggregation, if it has any, into a copy of the columns that it reads.

    They are computed as recipes compute theirs, so that a condition means the same everywhere.
    """
    columns = frames.read_columns(dataset)
    conditions = list(dict.fromkeys(measure.where for measure in command.measures if measure.where is not None))
    if not conditions:
        return Source(dataset, {column.name: (f"c{at}", column.type) for at, column in enumerate(columns)}, {})
    read = _list_read(command)
    kept = [column for column in columns if column.name in read]
    _write(dataset, kept, conditions, copy)
    return Source(
        copy,
        {column.name: (f"c{at}", column.type) for at, column in enumerate(kept)},
        {condition: f"c{at}" for at, condition in enumerate(conditions, start=len(kept))},
    )


def _list_read(command: AggregateDataset) -> set[str]:
    names = {*command.by, *([command.window.time] if command.window else [])}
    for measure in command.measures:
        names.update(name for name in (measure.column, measure.order) if name is not None)
        if measure.where is not None:
            names.update(columns_of(parse(measure.where)))
    return names


def _write(dataset: Path, columns: list[contract.Column], conditions: list[str], copy: Path) -> None:
    types = {column.name: column.type for column in columns}
    stored = [frames.PHYSICAL_TYPES[column.type] for column in columns]
    # Named by position: a column of the dataset may have any name.
    schema = pa.schema([(f"{at}", kind) for at, kind in enumerate([*stored, *(pa.bool_() for _ in conditions)])])
    with parquet.ParquetWriter(copy, schema) as writer:
        first = 0
        for batch in frames.iterate_batches(dataset, batch_rows=_BATCH_ROWS, columns=list(types)):
            frame = frames.to_frame(batch, first=first)
            first += batch.num_rows
            arrays = [batch.column(name).cast(kind) for name, kind in zip(types, stored, strict=True)]
            arrays += [pa.array(expressions.find_true(text, frame, types=types)) for text in conditions]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
