"""The columns of deployments' logs: what is kept of every prediction, the inputs, and what was predicted."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from shared import contract
from shared.ml import frames

Columns = tuple[tuple[str, contract.ColumnType], ...]
PREDICTED_AT, PREDICTION_ID = "predicted_at", "prediction_id"
OF_ALL: Columns = (
    (PREDICTED_AT, "timestamp"),
    ("deployment", "string"),
    ("revision", "integer"),
    ("version", "string"),
    ("arm", "string"),
    ("unit", "string"),
    (PREDICTION_ID, "string"),
    ("row", "integer"),
    ("seconds", "number"),
)
"""What is kept of every prediction.

`unit` is the hash that feedback has too, `row` the position in its request, `seconds` how long that took.
"""
ACTUAL, VALUE, SAID_AT = "feedback_actual", "feedback_value", "feedback_at"
RESERVED = frozenset({*(name for name, _ in OF_ALL), ACTUAL, VALUE, SAID_AT})
_WIDER: dict[frozenset[str], contract.ColumnType] = {
    frozenset({"integer", "number"}): "number",
    frozenset({"date", "timestamp"}): "timestamp",
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """The columns of a file, and which columns of a request they hold."""

    inputs: Columns
    outputs: Columns

    @property
    def columns(self) -> Columns:
        """All columns, in order; an input that is called as another column has `input_` before its name."""
        taken = {*RESERVED, *(name for name, _ in self.outputs)}
        named: list[tuple[str, contract.ColumnType]] = []
        for name, type_ in self.inputs:
            free = name
            while free in taken:
                free = f"input_{free}"
            taken.add(free)
            named.append((free, type_))
        return (*OF_ALL, *named, *self.outputs)


def describe(columns: Columns) -> list[contract.Column]:
    """Describe columns as a table's."""
    return [contract.Column(name=name, type=type_) for name, type_ in columns]


def merge(all_columns: Iterable[Sequence[Sequence[str]]]) -> Columns:
    """List the columns of several files, each with a type that holds its values in all of them."""
    merged: dict[str, contract.ColumnType] = {}
    for columns in all_columns:
        for name, type_ in columns:
            known = merged.get(name)
            merged[name] = cast(contract.ColumnType, type_) if known is None else widen(known, type_)
    return tuple(merged.items())


def widen(one: str, other: str) -> contract.ColumnType:
    """Choose the type that holds the values of two types."""
    return cast(contract.ColumnType, one) if one == other else _WIDER.get(frozenset({one, other}), "string")


def align(batch: pa.RecordBatch, columns: Columns) -> pa.Table:
    """Make a table of these columns of one that lacks some, or has narrower types."""
    arrays = []
    for name, type_ in columns:
        target = frames.PHYSICAL_TYPES[type_]
        index = batch.schema.get_field_index(name)
        arrays.append(pa.nulls(batch.num_rows, target) if index < 0 else _cast(batch.column(index), target))
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])


def _cast(array: pa.Array, target: pa.DataType) -> Any:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    return array if array.type == target else pc.cast(array, target, safe=False)
