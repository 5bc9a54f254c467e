"""Reads the rows of JSON lines or of a JSON document one after another, keeping numbers as they were written."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from shared import errors
from workers.ingestion.limits import Limits

# The longest row as text, in characters; it is what is held in memory at once.
ROW_CHARACTERS = 4 * 1024 * 1024
READ_CHARACTERS = 1024 * 1024
SPACE = " \t\r\n"
SHOWN_CHARACTERS = 60

Row = dict[str, Any]
SizedRow = tuple[Row, int]
"""A row and the characters that it took in the document."""


class Whole(str):
    """A number without a fraction, as the document writes it."""

    __slots__ = ()


class Fractional(str):
    """A number with a fraction or an exponent, as the document writes it."""

    __slots__ = ()


def _unique_members(members: list[tuple[str, Any]]) -> Row:
    row = dict(members)
    if len(row) != len(members):
        seen: set[str] = set()
        name = next(name for name, _ in members if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise errors.BadDataError(f"an object has the member {name!r} twice; each may come once")
    return row


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=Whole,
    parse_float=Fractional,
    # NaN and Infinity are not JSON, but Python writes them: they are numbers that will be stored as missing.
    parse_constant=Fractional,
)


def opened(path: Path, *, skip_bytes: int) -> TextIO:
    """Open a file in UTF-8 as text, behind its mark."""
    file = path.open("rb")
    file.seek(skip_bytes)
    return io.TextIOWrapper(file, encoding="utf-8", newline="\n")


def iterate_lines(file: TextIO) -> Iterator[SizedRow]:
    """Give each line's object and length; blank lines are passed over. Errors name the line."""
    number = 0
    while line := file.readline(ROW_CHARACTERS + 1):
        number += 1
        if len(line) > ROW_CHARACTERS:
            raise errors.LimitExceededError(
                f"Line {number:,} is longer than {ROW_CHARACTERS:,} characters; each line must hold one object."
            )
        if text := line.strip(SPACE):
            yield _as_row(_decode(text, place=f"Line {number:,}"), place=f"Line {number:,}"), len(line)


def iterate_array(file: TextIO) -> Iterator[SizedRow]:
    """Give each object of an array and its length, holding one at a time. Errors name the row."""
    window = _Window(file)
    window.take("[", place="The document")
    if window.peek() == "]":
        window.take("]", place="The document")
        number = 0
    else:
        number = 1
        yield window.row(place="Row 1")
        while window.peek() == ",":
            number += 1
            window.take(",", place=f"Row {number:,}")
            yield window.row(place=f"Row {number:,}")
        window.take("]", place=f"After row {number:,}")
    if rest := window.peek():
        raise errors.BadDataError(f"After the array comes {rest!r}; the document must end there.")


def iterate_columns(file: TextIO, *, limits: Limits) -> Iterator[SizedRow]:
    """Read a document of the form `{"column": [values]}` in one piece, and give its rows."""
    text = file.read(limits.document_characters + 1)
    if len(text) > limits.document_characters:
        raise errors.LimitExceededError(
            f"A JSON document that holds an object may have {limits.document_characters:,} characters; "
            "send an array of objects or JSON lines, which may be of any length."
        )
    columns = _as_row(_decode(text.strip(SPACE), place="The document"), place="The document")
    for name, column in columns.items():
        if not isinstance(column, list):
            raise errors.BadDataError(
                f"The member {name!r} is {_shown(column)}; a document that is an object must have the form "
                '{"column": [values]}. One object for each row belongs into an array, or on a line of its own.'
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        least, most = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise errors.BadDataError(
            f"Column {least!r} has {lengths[least]:,} values and column {most!r} has {lengths[most]:,}; "
            "all columns must be of one length."
        )
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)), 0


class _Window:
    """The part of a text that is being parsed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def peek(self) -> str:
        """Give the next character that is no space, or nothing at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read(READ_CHARACTERS):
                return ""

    def take(self, expected: str, *, place: str) -> None:
        """Step over a character that must come next."""
        found = self.peek()
        if found != expected:
            seen = repr(found) if found else "the end of the file; it seems to be cut off"
            raise errors.BadDataError(f"{place}: expected {expected!r} but found {seen}.")
        self._at += 1

    def row(self, *, place: str) -> SizedRow:
        """Parse the next object, reading on until it is whole."""
        if self.peek() != "{":
            # Only an object says by itself where it ends, so anything else is judged by what is at hand.
            return _as_row(_decode(self._text[self._at :], place=place, only_start=True), place=place), 0
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._read_on(error, place=place)
            except errors.BadDataError as error:
                raise errors.BadDataError(f"{place}: {error.message}.") from error
            except RecursionError as error:
                raise errors.BadDataError(f"{place} is nested too deeply.") from error
            else:
                size, self._at = end - self._at, end
                return value, size

    def _read_on(self, error: json.JSONDecodeError, *, place: str) -> None:
        held = len(self._text) - self._at
        if held > ROW_CHARACTERS:
            raise errors.LimitExceededError(
                f"{place} is longer than {ROW_CHARACTERS:,} characters, or is not valid JSON: {error.msg}."
            ) from error
        # Reading as much again as is held keeps the repeated attempts cheap.
        if not self._read(max(held, READ_CHARACTERS)):
            raise _bad_json(place, error=error) from error

    def _read(self, characters: int) -> bool:
        more = self._file.read(characters)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)


def _decode(text: str, *, place: str, only_start: bool = False) -> Any:
    try:
        return _DECODER.raw_decode(text)[0] if only_start else _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _bad_json(place, error=error) from error
    except errors.BadDataError as error:
        raise errors.BadDataError(f"{place}: {error.message}.") from error
    except RecursionError as error:
        raise errors.BadDataError(f"{place} is nested too deeply.") from error


def _bad_json(place: str, *, error: json.JSONDecodeError) -> errors.BadDataError:
    seen = error.doc[error.pos : error.pos + SHOWN_CHARACTERS]
    at = f"at {seen!r}" if seen else "at its end; it seems to be cut off"
    return errors.BadDataError(f"{place} is not valid JSON: {error.msg} {at}.")


def _as_row(value: Any, *, place: str) -> Row:
    if isinstance(value, dict):
        return value
    raise errors.BadDataError(f"{place} is {_shown(value)}; it must be an object of column names and values.")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, Whole | Fractional):
        return f"the number {value[:SHOWN_CHARACTERS]}"
    return "null" if value is None else repr(value)[:SHOWN_CHARACTERS]
