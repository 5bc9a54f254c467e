"""What a foreign ONNX model takes: its inputs, and the columns that they are made of."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import onnx

from shared import contract, errors
from shared.ml.imported.onnx_estimators import Kind
from shared.ml.integers import LIMIT
from shared.training import imports

TensorProto = onnx.TensorProto
FLOATS = {int(TensorProto.FLOAT): "float", int(TensorProto.DOUBLE): "double", int(TensorProto.FLOAT16): "float16"}
WHOLE_BOUNDS = {
    int(TensorProto.INT64): (1 - LIMIT, LIMIT - 1),
    int(TensorProto.INT32): (-(2**31), 2**31 - 1),
    int(TensorProto.INT16): (-(2**15), 2**15 - 1),
    int(TensorProto.INT8): (-(2**7), 2**7 - 1),
    int(TensorProto.UINT64): (0, LIMIT - 1),
    int(TensorProto.UINT32): (0, 2**32 - 1),
    int(TensorProto.UINT16): (0, 2**16 - 1),
    int(TensorProto.UINT8): (0, 2**8 - 1),
    int(TensorProto.BOOL): (0, 1),
}
"""The least and the greatest number that an input of whole numbers takes, as far as float64 tells them apart."""


@dataclasses.dataclass(frozen=True)
class Input:
    """An input: how many columns it takes (None: the model doesn't say), and whether it is (rows,) without columns."""

    name: str
    element_type: int
    width: int | None
    is_flat: bool


@dataclasses.dataclass(frozen=True)
class TakenColumn:
    """A column that an input takes: its name, its type, what is known of it, and in which form the graph gets it."""

    name: str
    type: contract.ColumnType
    kind: Kind
    categories: list[str] | None = None
    whole: tuple[int, int] | None = None

    def describe(self) -> dict[str, Any]:
        """Describe it for the signature."""
        document: dict[str, Any] = {"name": self.name, "type": self.type, "nullable": self.whole is None}
        document |= {} if self.categories is None else {"categories": sorted(self.categories)}
        return document | ({} if self.whole is None else {"whole": list(self.whole)})


def read(model: onnx.ModelProto) -> list[Input]:
    """Read the inputs; BadModelError for one that takes no table's columns."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = [_read_input(value) for value in model.graph.input if value.name not in constants]
    if not found:
        raise errors.BadModelError("the model has no inputs")
    return found


def _read_input(value: onnx.ValueInfoProto) -> Input:
    if not value.type.HasField("tensor_type"):
        raise errors.BadModelError(f"the input {value.name[:100]!r} is no tensor, so no columns of a table fit it")
    tensor = value.type.tensor_type
    known = {**FLOATS, **WHOLE_BOUNDS, int(TensorProto.STRING): "string"}
    if tensor.elem_type not in known:
        type_ = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise errors.BadModelError(f"the input {value.name[:100]!r} is of type {type_}, which no column can have")
    if not tensor.HasField("shape"):
        return Input(value.name, tensor.elem_type, None, is_flat=False)
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
    if len(sizes) not in (1, 2):
        shape = ", ".join("?" if size is None else f"{size}" for size in sizes)
        raise errors.BadModelError(
            f"the input {value.name[:100]!r} has the shape ({shape}); only (rows,) and (rows, columns) are made of a "
            "table's columns"
        )
    return Input(value.name, tensor.elem_type, sizes[1] if len(sizes) == 2 else 1, is_flat=len(sizes) == 1)


def assign(
    inputs: Sequence[Input], columns: Sequence[imports.ImportedColumn] | None
) -> tuple[dict[str, list[TakenColumn]], list[str]]:
    """Assign columns to inputs, by name where each input takes one, else in order; and notes on names that we made.

    Returned are each input's columns, in the order of the inputs. BadModelError when they don't fit.
    """
    if columns is None:
        named, notes = _name_columns(inputs)
        return {each.name: [_take(column, each) for column in named[each.name]] for each in inputs}, notes
    by_name = {column.name: column for column in columns}
    if all(each.width in (1, None) for each in inputs) and by_name.keys() == {each.name for each in inputs}:
        return {each.name: [_take(by_name[each.name], each)] for each in inputs}, []
    widths = _share_out(inputs, len(columns))
    taken, start = {}, 0
    for each, width in zip(inputs, widths, strict=True):
        taken[each.name] = [_take(column, each) for column in columns[start : start + width]]
        start += width
    return taken, []


def _name_columns(inputs: Sequence[Input]) -> tuple[Mapping[str, list[imports.ImportedColumn]], list[str]]:
    unknown = [each.name for each in inputs if each.width is None]
    if unknown:
        raise errors.BadModelError(
            f"the model doesn't say how many columns its input {unknown[0][:100]!r} takes; give `columns`",
            pointer="#/params/columns",
        )
    total = sum(each.width or 0 for each in inputs)
    if not 0 < total <= imports.MAX_COLUMNS:
        raise errors.BadModelError(f"the model takes {total:,} columns; from 1 to {imports.MAX_COLUMNS:,} can be")
    named = {
        each.name: [each.name] if each.width == 1 else [f"{each.name}_{place}" for place in range(each.width or 0)]
        for each in inputs
    }
    made = [each.name for each in inputs if each.width != 1]
    notes = [
        f"The columns of the input {name!r} have no names in the file; they are called {named[name][0]}, …, "
        f"{named[name][-1]}. Give `columns` to name them as in your data."
        for name in made
    ]
    return {name: [imports.ImportedColumn(name=each) for each in names] for name, names in named.items()}, notes


def _share_out(inputs: Sequence[Input], count: int) -> list[int]:
    """Say how many columns each input takes of so many."""
    known = sum(each.width or 0 for each in inputs)
    unknown = sum(each.width is None for each in inputs)
    if (unknown == 0 and known != count) or (unknown == 1 and known >= count) or unknown > 1:
        takes = ", ".join(f"{each.name[:50]!r} takes {each.width or 'any number'}" for each in inputs[:10])
        raise errors.BadModelError(f"{count} columns don't fit the model's inputs: {takes}", pointer="#/params/columns")
    return [count - known if each.width is None else each.width for each in inputs]


def _take(column: imports.ImportedColumn, given: Input) -> TakenColumn:
    """Let an input take a column; BadModelError when it can't take values of its type."""
    allowed = list_types(given.element_type)
    type_ = column.type or allowed[0]
    if type_ not in allowed:
        held = TensorProto.DataType.Name(given.element_type).lower()
        raise errors.BadModelError(
            f"the column {column.name[:100]!r} is of type {type_}, but the model's input {given.name[:100]!r} is of "
            f"type {held}, which takes {' or '.join(allowed)}",
            pointer="#/params/columns",
        )
    if type_ == "string":
        return TakenColumn(column.name, type_, "text", column.categories)
    if type_ in contract.TEMPORAL:
        return TakenColumn(column.name, type_, "instant")
    bounds = WHOLE_BOUNDS.get(given.element_type)
    return TakenColumn(column.name, type_, "number", whole=(0, 1) if bounds and type_ == "boolean" else bounds)


def list_types(element_type: int) -> list[contract.ColumnType]:
    """List the types of columns that an input takes, the one that it has by itself first."""
    if element_type == TensorProto.STRING:
        return ["string"]
    if element_type in FLOATS:
        return ["number", "integer", "boolean"]
    types = ["boolean"] if element_type == TensorProto.BOOL else ["integer", "boolean"]
    # Exports of ours have microseconds since 1970.
    times = ["timestamp", "date"] if element_type == TensorProto.INT64 else []
    return cast(list[contract.ColumnType], types + times)
