"""The tensors of the Open Inference Protocol, in JSON and as the binary extension has them."""

import dataclasses
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shared import contract, errors
from workers.prediction.online.faces import content_types

DATATYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    **{
        f"{prefix}INT{bits}": f"{sign}{bits // 8}"
        for prefix, sign in (("U", "<u"), ("", "<i"))
        for bits in (8, 16, 32, 64)
    },
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": None,
}
_OF_COLUMN: dict[str, str] = {"integer": "INT64", "number": "FP64", "boolean": "BOOL"}
_LENGTH = struct.Struct("<I")
_EXACT = 1 << 53
MAX_CELLS = 50_000_000
MAX_DIMENSIONS = 8


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor's values in row-major order, None where one is missing."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any]

    def to_columns(self, names: Sequence[str] | None, *, by_position: bool = False) -> dict[str, list[Any]]:
        """Turn it into columns: one of its own name, or, with a second dimension, one for each of some names.

        `by_position` gives a single column the only name too, instead of its own.
        """
        if len(self.shape) == 1 or (len(self.shape) == 2 and self.shape[1] == 1):
            return {names[0] if by_position and names is not None and len(names) == 1 else self.name: self.values}
        if len(self.shape) != 2:
            raise errors.BadDataError(
                f"the input {self.name!r} has the shape {list(self.shape)}; send one input of the shape [rows] for "
                "each column, or one of the shape [rows, columns]"
            )
        if names is None:
            raise errors.BadDataError(
                f"the versions that answer take other columns, so it can't be told which ones the input {self.name!r} "
                "has: send one input of the shape [rows] for each column"
            )
        width = self.shape[1]
        if width != len(names):
            raise errors.BadDataError(
                f"the input {self.name!r} has {width} columns; the model takes {len(names)}: {', '.join(names)}"
            )
        return {name: self.values[index::width] for index, name in enumerate(names)}


def read(document: Any, *, binary: memoryview | None, content_type: str | None = None) -> Tensor:
    """Read an input as the protocol has it, from JSON or from its bytes; raises BadDataError.

    `content_type` is that of the request, which holds for texts where the input has none of its own.
    """
    if not isinstance(document, dict):
        raise errors.BadDataError("an input is an object with `name`, `shape`, `datatype` and `data`")
    name, datatype, shape = (document.get(field) for field in ("name", "datatype", "shape"))
    if not isinstance(name, str) or not name:
        raise errors.BadDataError("an input has no `name`")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        shown = repr(datatype)[:80] if isinstance(datatype, str) else "no text"
        raise errors.BadDataError(f"the input {name!r} has the datatype {shown}; these are: {', '.join(DATATYPES)}")
    if not isinstance(shape, list) or not 1 <= len(shape) <= MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise errors.BadDataError(
            f"the input {name!r} has no usable shape; send a list of 1 to {MAX_DIMENSIONS} whole numbers, each at most "
            f"{MAX_CELLS:,}"
        )
    cells = math.prod(shape)
    if cells > MAX_CELLS:
        raise errors.BadDataError(f"the input {name!r} has {cells:,} values; at most {MAX_CELLS:,} are permitted")
    if binary is not None:
        values = _from_binary(name, datatype, binary, cells=cells)
    else:
        if datatype == "FP16":
            raise errors.BadDataError(f"the input {name!r} has the datatype FP16, which JSON has no form for")
        values = _from_json(name, datatype, document.get("data"), cells=cells)
    own = content_types.read(document.get("parameters"), of=f"the input {name!r}")
    inherited = content_type if datatype == "BYTES" else None
    values = content_types.decode(name, datatype, values, content_type=own or inherited)
    return Tensor(name, datatype, tuple(shape), values)


def _from_json(name: str, datatype: str, data: Any, *, cells: int) -> list[Any]:
    if not isinstance(data, list):
        raise errors.BadDataError(f"the input {name!r} has no list `data`")
    flat = list(_flatten(data)) if any(isinstance(item, list) for item in data) else data
    if len(flat) != cells:
        raise errors.BadDataError(f"the input {name!r} has {len(flat)} values; its shape says {cells}")
    return [_check(name, datatype, value) for value in flat]


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_CELLS


def _flatten(data: list[Any]) -> Iterable[Any]:
    """Yield the values of nested lists in order, however deep they are."""
    waiting = [iter(data)]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, list):
                waiting.append(iter(item))
                break
            yield item
        else:
            waiting.pop()


def _check(name: str, datatype: str, value: Any) -> Any:
    """Return a value as its datatype has it; the same number is the same in JSON and in bytes."""
    if value is None:
        return None
    if datatype == "BYTES":
        if isinstance(value, str):
            return value
    elif datatype == "BOOL":
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if datatype == "FP64":
            return value
        if datatype == "FP32":
            return float(np.float32(value))
        if (whole := _to_whole(value, np.iinfo(DATATYPES[datatype]))) is not None:
            return whole
    raise errors.BadDataError(f"the input {name!r} has the datatype {datatype}, but holds {_show(value)}")


def _to_whole(value: float, bounds: Any) -> int | None:
    """Return a whole number within bounds; some clients write it as 3.0, since JSON has one type of number."""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) >= _EXACT:
            return None
        value = int(value)
    return value if bounds.min <= value <= bounds.max else None


def _show(value: Any) -> str:
    return "an object" if isinstance(value, dict) else repr(str(value)[:80])


def _from_binary(name: str, datatype: str, data: memoryview, *, cells: int) -> list[Any]:
    if datatype == "BYTES":
        return list(_read_texts(name, data, cells=cells))
    dtype = np.dtype(DATATYPES[datatype])
    if len(data) != cells * dtype.itemsize:
        raise errors.BadDataError(
            f"the input {name!r} has {len(data)} bytes; its shape and datatype say {cells * dtype.itemsize}"
        )
    values: list[Any] = np.frombuffer(data, dtype=dtype).tolist()
    return values


def _read_texts(name: str, data: memoryview, *, cells: int) -> Iterable[str]:
    position = 0
    for _ in range(cells):
        if position + _LENGTH.size > len(data):
            raise errors.BadDataError(f"the input {name!r} ends before its {cells} texts do")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if position + length > len(data):
            raise errors.BadDataError(f"the input {name!r} ends within a text of {length} bytes")
        try:
            yield str(data[position : position + length], "utf-8")
        except UnicodeDecodeError as error:
            raise errors.BadDataError(f"the input {name!r} holds a text that is not UTF-8") from error
        position += length
    if position != len(data):
        raise errors.BadDataError(f"the input {name!r} has {len(data) - position} bytes more than its texts")


def datatype_of(column: contract.Column) -> str:
    """Return the datatype of a predicted column."""
    return _OF_COLUMN.get(column.type, "BYTES")


def write_binary(datatype: str, values: Sequence[Any]) -> bytes:
    """Write values as the binary extension has them; a missing number is NaN, a missing text empty."""
    if datatype == "BYTES":
        encoded = [("" if value is None else f"{value}").encode() for value in values]
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    dtype = np.dtype(DATATYPES[datatype])
    return np.array([np.nan if value is None else value for value in values], dtype=dtype).tobytes()


def describe_input(column: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a model's column as an input of the protocol."""
    return {"name": column["name"], "datatype": _OF_COLUMN.get(column["type"], "BYTES"), "shape": [-1]}
