"""Reads rows of a table by their keys, from a file that is mapped into memory and shared by all who map it."""

import mmap
import operator
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.objects.lookups import keys, layout

_POSITIONS = struct.Struct("<II")
_MAX_KEPT_TEXTS, _MAX_KEPT_CHARACTERS = 4096, 100
"""Texts that are kept once they were read: mostly categories, of which there are few."""
_MASK = (1 << layout.TEXT_BITS) - 1


class Table:
    """A table of one row a key; may be read from any thread."""

    def __init__(self, path: Path) -> None:
        """Map a file, which may be removed afterwards; BadDataError when it is no such table."""
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes.madvise(mmap.MADV_WILLNEED)
        self.layout = layout.Layout.read(self._bytes)
        self._shift = 32 - self.layout.index_bits
        self._hashes_at = self.layout.hashes_at
        self._texts_at = self.layout.texts_at
        self._texts: dict[int, str] = {}

    def find(self, key_hash: bytes) -> int | None:
        """Find the position of the row with this hash of its key; None when there is none."""
        content = self._bytes
        bucket = int.from_bytes(key_hash[:4], "big") >> self._shift
        first, end = _POSITIONS.unpack_from(content, 4 * bucket)
        at = self._hashes_at + keys.BYTES * first
        for position in range(first, end):
            if content[at : at + keys.BYTES] == key_hash:
                return position
            at += keys.BYTES
        return None

    def select(self, names: Sequence[str]) -> Callable[[int], list[Any]]:
        """Make a function that reads these columns, each named once, of the row at a position.

        Values are as JSON has them, times and dates numpy.datetime64[us] in UTC, and None is missing.
        """
        whole, columns = self.layout, self.layout.columns
        place = {column.name: index for index, column in enumerate(columns)}
        wanted = [place[name] for name in names]
        take = _take(wanted)
        read_text = self._read_text
        converters: dict[str, Callable[[Any], Any]] = {
            "string": read_text,
            "boolean": bool,
            "timestamp": _to_time,
            "date": _to_time,
        }
        converted = [
            (index, converters[columns[each].type])
            for index, each in enumerate(wanted)
            if columns[each].type in converters
        ]
        index_of = {1 << each: index for index, each in enumerate(wanted)}
        any_mask = sum(index_of)
        content, unpack, size, rows_at = self._bytes, whole.row.unpack_from, whole.row.size, whole.rows_at

        def read(position: int) -> list[Any]:
            packed = unpack(content, rows_at + size * position)
            values = list(take(packed))
            for index, convert in converted:
                values[index] = convert(values[index])
            nulls = int.from_bytes(packed[-1], "little") & any_mask
            while nulls:
                lowest = nulls & -nulls
                values[index_of[lowest]] = None
                nulls ^= lowest
            return values

        return read

    def _read_text(self, packed: int) -> str:
        text = self._texts.get(packed)
        if text is None:
            at = self._texts_at + (packed >> layout.TEXT_BITS)
            text = str(self._bytes[at : at + (packed & _MASK)], "utf-8")
            if len(self._texts) < _MAX_KEPT_TEXTS and len(text) <= _MAX_KEPT_CHARACTERS:
                self._texts[packed] = text
        return text


def _take(wanted: Sequence[int]) -> Callable[[tuple[Any, ...]], Sequence[Any]]:
    if not wanted:
        return lambda _packed: ()
    if len(wanted) == 1:
        only = wanted[0]
        return lambda packed: (packed[only],)
    return operator.itemgetter(*wanted)


def _to_time(microseconds: int) -> np.datetime64:
    return np.datetime64(microseconds, "us")
