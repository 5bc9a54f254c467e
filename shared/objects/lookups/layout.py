"""Where what is in the file of a table that is looked up by key.

    index     for each value of a hash's first bits, the position of the first row from there on (uint32, one more)
    hashes    the rows' hashes of 16 bytes, sorted
    rows      the rows in the same order and of one length: a value for each column, then the bits of missing ones
    texts     what text values point at
    footer    what the file holds (JSON), the footer's length, and a mark of the format

A value takes 8 bytes, a boolean one. A text is its offset in `texts` times 2^24 plus its length in bytes. Times and
dates are microseconds since 1970. All is little-endian, and the first four parts begin at whole pages.
docs/decisions/lookups.md, "A table that is looked up is one file, which copies map"
"""

import dataclasses
import struct
from typing import Any, Self

import orjson

from shared import contract, errors
from shared.objects.lookups import keys

MAX_ROWS = 2**32 - 2
TEXT_BITS = 24
MAX_TEXT_BYTES = 2**TEXT_BITS - 1
_MARK = b"MRLOOK01"
_TAIL = struct.Struct("<Q8s")
_PAGE = 4096
_CODES: dict[contract.ColumnType, str] = {
    "number": "d",
    "integer": "q",
    "boolean": "B",
    "timestamp": "q",
    "date": "q",
    "string": "Q",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of a file, and what is in them."""

    key: list[contract.Column]
    columns: list[contract.Column]
    rows: int
    example: dict[str, Any]
    """The key of some row, by column, as JSON has it."""

    @property
    def index_bits(self) -> int:
        """How many bits of a hash the index knows: so many that each value of them has a row or two."""
        return max(1, min(28, self.rows.bit_length() - 1))

    @property
    def row(self) -> struct.Struct:
        """How a row is packed: the values in order, then the bits of missing ones as bytes."""
        return struct.Struct(f"<{''.join(self.codes)}{self.null_bytes}s")

    @property
    def null_bytes(self) -> int:
        """How many bytes say which values of a row are missing; the first column is the lowest bit."""
        return (len(self.columns) + 7) // 8

    @property
    def codes(self) -> list[str]:
        """The struct code of each column's values."""
        return [_CODES[column.type] for column in self.columns]

    @property
    def hashes_at(self) -> int:
        """Where the hashes begin; the index begins the file."""
        return _round_up(4 * ((1 << self.index_bits) + 1))

    @property
    def rows_at(self) -> int:
        """Where the rows begin."""
        return _round_up(self.hashes_at + keys.BYTES * self.rows)

    @property
    def texts_at(self) -> int:
        """Where the texts begin."""
        return _round_up(self.rows_at + self.row.size * self.rows)

    def to_footer(self) -> bytes:
        """Write the end of the file."""
        document = {
            "key": [column.model_dump(mode="json") for column in self.key],
            "columns": [column.model_dump(mode="json") for column in self.columns],
            "rows": self.rows,
            "example": self.example,
        }
        content = orjson.dumps(document)
        return content + _TAIL.pack(len(content), _MARK)

    @classmethod
    def read(cls, content: Any) -> Self:
        """Read the layout of a whole file's bytes; BadDataError when they are no such file."""
        try:
            end = len(content) - _TAIL.size
            length, mark = _TAIL.unpack_from(content, end)
            if mark != _MARK or length > end:
                raise ValueError("it is no table that rows are looked up in")
            document = orjson.loads(bytes(content[end - length : end]))
            layout = cls(
                key=[contract.Column(**column) for column in document["key"]],
                columns=[contract.Column(**column) for column in document["columns"]],
                rows=document["rows"],
                example=document["example"],
            )
            if layout.texts_at > end - length:
                raise ValueError("it is too short")
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise errors.BadDataError(f"the file can't be read: {error}") from error
        return layout


def _round_up(offset: int) -> int:
    return -(-offset // _PAGE) * _PAGE
