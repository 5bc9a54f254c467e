"""Finds the rows of a Parquet file that a job works on, and reads them, batch by batch.

docs/decisions/models.md, "`where` chooses rows before anything else sees them".
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors
from shared.ml import frames
from shared.ml.expressions import compute_condition
from shared.recipe import conditions, expressions

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Value = str | int | bool
_BATCH_ROWS = 1 << 16
_POINTER = "#/params/where"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which rows are kept: those of which `where` is true, and of these the ones whose `column` has the `value`.

    Either may be left out. A row of which the condition is missing is not kept, nor one without the value.
    """

    where: str | None = None
    column: str | None = None
    value: Value | None = None

    @functools.cached_property
    def columns(self) -> list[str]:
        """The columns that are read to choose the rows."""
        named = expressions.columns_of(expressions.parse(self.where)) if self.where is not None else []
        return list(dict.fromkeys([*named, *([self.column] if self.column is not None else [])]))


@dataclasses.dataclass(frozen=True)
class Read:
    """Rows that were kept, and their positions in the dataset, None when these are all of its rows.

    `kept` counts the rows of which `where` is true, if there is one.
    """

    table: pa.Table
    positions: Positions | None = None
    kept: conditions.KeptRows | None = None

    def to_frame(self, columns: list[str]) -> pd.DataFrame:
        """Convert some columns to a frame whose labels are the positions of the rows in the dataset."""
        frame = frames.to_frame(self.table.select(columns))
        return frame if self.positions is None else frame.set_axis(pd.Index(self.positions))


def find(path: Path, choice: Choice) -> tuple[Mask, conditions.KeptRows | None]:
    """Find which rows are kept, as a mask over the whole file, and how many; BadDataError when none is."""
    chooser = _Chooser(path, choice)
    masks = [
        chooser.choose(batch) for batch in frames.iterate_batches(path, batch_rows=_BATCH_ROWS, columns=choice.columns)
    ]
    return _concatenate(masks), chooser.finish()


def read(path: Path, choice: Choice, *, columns: list[str]) -> Read:
    """Read some columns of the rows that are kept; BadDataError when none is, or the condition doesn't fit the file.

    Rows that are not kept are not held in memory.
    """
    if not choice.columns:
        return Read(frames.read_table(path, columns=columns))
    chooser = _Chooser(path, choice)
    masks: list[Mask] = []
    batches: list[pa.RecordBatch] = []
    names = list(dict.fromkeys([*columns, *choice.columns]))
    for batch in frames.iterate_batches(path, batch_rows=_BATCH_ROWS, columns=names):
        masks.append(chooser.choose(batch))
        batches.append(batch.select(columns).filter(pa.array(masks[-1])))
    mask, kept = _concatenate(masks), chooser.finish()
    table = pa.Table.from_batches(batches) if batches else frames.read_table(path, columns=columns)
    return Read(table, np.flatnonzero(mask), kept)


class _Chooser:
    """Chooses the rows of a file's batches, in their order, and counts them."""

    def __init__(self, path: Path, choice: Choice) -> None:
        columns = frames.read_columns(path)
        self._where = choice.where
        self._choice = choice
        self._types: dict[str, Any] = {column.name: column.type for column in columns}
        self._done = self._true = self._missing = 0
        if choice.where is not None:
            conditions.check(choice.where, columns=columns, pointer=_POINTER)
            self._read = expressions.columns_of(expressions.parse(choice.where))

    def choose(self, batch: pa.RecordBatch) -> Mask:
        """Return a mask of the rows that are kept."""
        mask = np.ones(batch.num_rows, dtype=bool)
        if self._where is not None:
            mask = self._evaluate(self._where, batch)
            self._true += int(mask.sum())
        self._done += batch.num_rows
        if self._choice.column is not None:
            mask &= find_value(batch.column(batch.schema.get_field_index(self._choice.column)), self._choice.value)
        return mask

    def finish(self) -> conditions.KeptRows | None:
        """Return how many rows the condition keeps, if there is one; BadDataError when it keeps none of some."""
        if self._where is None:
            return None
        if self._done and not self._true:
            unknown = f", and missing in {self._missing:,}" if self._missing else ""
            raise errors.BadDataError(
                f"`where` keeps none of {self._done:,} rows: it is false in {self._done - self._missing:,}{unknown}",
                pointer=_POINTER,
            )
        return conditions.KeptRows(expression=self._where, rows=self._true, dataset_rows=self._done)

    def _evaluate(self, where: str, batch: pa.RecordBatch) -> Mask:
        frame = frames.to_frame(batch.select(self._read), first=self._done)
        values = compute_condition(where, frame, types=self._types)
        self._missing += int(values.isna().sum())
        return np.asarray(values == 1, dtype=bool)


def find_value(array: pa.Array | pa.ChunkedArray, value: Value | None) -> Mask:
    """Return a mask of the entries of a column of text, booleans or integers that equal a value exactly."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    equal = pc.equal(array, pa.scalar(value, type=array.type))
    return np.asarray(pc.fill_null(equal, False).to_numpy(zero_copy_only=False), dtype=bool)


def _concatenate(masks: list[Mask]) -> Mask:
    return np.concatenate(masks) if masks else np.zeros(0, dtype=bool)
