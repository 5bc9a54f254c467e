"""Reads UBJSON, the binary form of JSON that XGBoost writes by default (ubjson.org, draft 12)."""

import struct
from typing import Any

_NUMBERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_WORDS = {b"Z": None, b"T": True, b"F": False}
_MAX_DEPTH = 50


def loads(data: bytes) -> Any:
    """Parse a document; ValueError for what is none."""
    parser = _Parser(data)
    try:
        value = parser.value(parser.take(1), depth=0)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"this is no UBJSON: {error}") from error
    if parser.place != len(data):
        raise ValueError(f"this is no UBJSON: it goes on after {parser.place} bytes")
    return value


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        """Take the next bytes."""
        if count < 0 or self.place + count > len(self.data):
            raise ValueError(f"this is no UBJSON: it ends after {len(self.data)} bytes")
        taken = self.data[self.place : self.place + count]
        self.place += count
        return taken

    def value(self, marker: bytes, *, depth: int) -> Any:
        """Parse the value that a marker begins."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"this is nested deeper than {_MAX_DEPTH} levels")
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in _WORDS:
            return _WORDS[marker]
        if marker == b"S":
            return self.take(self._length()).decode()
        if marker == b"C":
            return self.take(1).decode()
        if marker == b"[":
            return self._array(depth)
        if marker == b"{":
            return self._object(depth)
        raise ValueError(f"this is no UBJSON: {marker!r} begins no value")

    def _number(self, marker: bytes) -> Any:
        form = _NUMBERS[marker]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def _length(self) -> int:
        marker = self.take(1)
        if marker not in _NUMBERS or marker in b"dD":
            raise ValueError(f"this is no UBJSON: {marker!r} begins no length")
        return int(self._number(marker))

    def _head(self) -> tuple[bytes | None, int | None]:
        """Parse the type and the count that a container may begin with."""
        type_ = count = None
        if self.data[self.place : self.place + 1] == b"$":
            self.take(1)
            type_ = self.take(1)
        if self.data[self.place : self.place + 1] == b"#":
            self.take(1)
            count = self._length()
        if type_ is not None and (count is None or type_ not in _NUMBERS):
            raise ValueError("this is no UBJSON of XGBoost: only arrays of numbers have a type, and a count")
        return type_, count

    def _array(self, depth: int) -> list[Any]:
        type_, count = self._head()
        if type_ is not None and count is not None:
            form = _NUMBERS[type_]
            taken = self.take(count * struct.calcsize(form))
            return [*struct.unpack(f">{count}{form[1]}", taken)]
        items: list[Any] = []
        while count is None or len(items) < count:
            marker = self.take(1)
            if count is None and marker == b"]":
                break
            items.append(self.value(marker, depth=depth + 1))
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        _, count = self._head()
        members: dict[str, Any] = {}
        while count is None or len(members) < count:
            if count is None and self.data[self.place : self.place + 1] == b"}":
                self.take(1)
                break
            name = self.take(self._length()).decode()
            members[name] = self.value(self.take(1), depth=depth + 1)
        return members
