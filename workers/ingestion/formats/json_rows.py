"""Reads the rows of JSON lines or of a JSON document one by one, and keeps numbers as they were written."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from shared import errors
from workers.ingestion.limits import Limits

# The most characters of a row's text, all of which is in memory at once.
ROW_CHARACTERS = 4 * 1024 * 1024
READ_CHARACTERS = 1024 * 1024
WHITESPACE = " \t\r\n"
SHOWN_CHARACTERS = 60

Row = dict[str, Any]
SizedRow = tuple[Row, int]
"""A row and its length in the document, in characters."""


class WholeNumber(str):
    """A number without a fraction, as written in the document."""

    __slots__ = ()


class FractionalNumber(str):
    """A number with a fraction or an exponent, as written in the document."""

    __slots__ = ()


def _build_object(members: list[tuple[str, Any]]) -> Row:
    row = dict(members)
    if len(row) != len(members):
        seen: set[str] = set()
        name = next(name for name, _ in members if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise errors.BadDataError(f"an object has the member {name!r} twice; each may occur only once")
    return row


_DECODER = json.JSONDecoder(
    object_pairs_hook=_build_object,
    parse_int=WholeNumber,
    parse_float=FractionalNumber,
    # NaN and Infinity are not JSON, but Python writes them: they are numbers that will be stored as missing.
    parse_constant=FractionalNumber,
)


def open_utf8(path: Path, *, skip_bytes: int) -> TextIO:
    """Open a file in UTF-8 as text, after its byte order mark."""
    file = path.open("rb")
    file.seek(skip_bytes)
    return io.TextIOWrapper(file, encoding="utf-8", newline="\n")


def iterate_lines(file: TextIO) -> Iterator[SizedRow]:
    """Iterate over each line's object and length; blank lines are skipped. Errors name the line."""
    number = 0
    while line := file.readline(ROW_CHARACTERS + 1):
        number += 1
        if len(line) > ROW_CHARACTERS:
            raise errors.LimitExceededError(
                f"Line {number:,} is longer than {ROW_CHARACTERS:,} characters; each line must hold one object."
            )
        if text := line.strip(WHITESPACE):
            yield _require_object(_decode(text, location=f"Line {number:,}"), location=f"Line {number:,}"), len(line)


def iterate_array(file: TextIO) -> Iterator[SizedRow]:
    """Iterate over an array's objects and their lengths, with one in memory at a time. Errors name the row."""
    window = _Window(file)
    window.expect("[", location="The document")
    if window.peek() == "]":
        window.expect("]", location="The document")
        number = 0
    else:
        number = 1
        yield window.parse_row(location="Row 1")
        while window.peek() == ",":
            number += 1
            window.expect(",", location=f"Row {number:,}")
            yield window.parse_row(location=f"Row {number:,}")
        window.expect("]", location=f"After row {number:,}")
    if rest := window.peek():
        raise errors.BadDataError(f"The array is followed by {rest!r}; the document must end after it.")


def iterate_columns(file: TextIO, *, limits: Limits) -> Iterator[SizedRow]:
    """Read a whole document of the form `{"column": [values]}`, and iterate over its rows."""
    text = file.read(limits.document_characters + 1)
    if len(text) > limits.document_characters:
        raise errors.LimitExceededError(
            f"A JSON document that is one object may have at most {limits.document_characters:,} characters; "
            "send an array of objects or JSON lines, which may be of any length."
        )
    columns = _require_object(_decode(text.strip(WHITESPACE), location="The document"), location="The document")
    for name, column in columns.items():
        if not isinstance(column, list):
            raise errors.BadDataError(
                f"The member {name!r} is {_describe(column)}; a document that is an object must have the form "
                '{"column": [values]}. Put one object for each row into an array, or on a line of its own.'
            )
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise errors.BadDataError(
            f"Column {shortest!r} has {lengths[shortest]:,} values and column {longest!r} has {lengths[longest]:,}; "
            "all columns must have the same length."
        )
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True)), 0


class _Window:
    """The part of a text that is being parsed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._position = 0

    def peek(self) -> str:
        """Return the next character that is not whitespace, without consuming it; empty at the end."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in WHITESPACE:
                self._position += 1
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read(READ_CHARACTERS):
                return ""

    def expect(self, expected: str, *, location: str) -> None:
        """Consume a character that must come next."""
        character = self.peek()
        if character != expected:
            found = repr(character) if character else "the end of the file; it seems to be cut off"
            raise errors.BadDataError(f"{location}: expected {expected!r} but found {found}.")
        self._position += 1

    def parse_row(self, *, location: str) -> SizedRow:
        """Parse the next object, reading on until it is complete."""
        if self.peek() != "{":
            # Only an object marks its own end, so anything else is judged by the text read so far.
            return _require_object(
                _decode(self._text[self._position :], location=location, allow_rest=True), location=location
            ), 0
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                self._read_on(error, location=location)
            except errors.BadDataError as error:
                raise errors.BadDataError(f"{location}: {error.message}.") from error
            except RecursionError as error:
                raise errors.BadDataError(f"{location} is nested too deeply.") from error
            else:
                size, self._position = end - self._position, end
                return value, size

    def _read_on(self, error: json.JSONDecodeError, *, location: str) -> None:
        unparsed = len(self._text) - self._position
        if unparsed > ROW_CHARACTERS:
            raise errors.LimitExceededError(
                f"{location} is longer than {ROW_CHARACTERS:,} characters, or is not valid JSON: {error.msg}."
            ) from error
        # Doubling the text each time keeps the repeated attempts cheap.
        if not self._read(max(unparsed, READ_CHARACTERS)):
            raise _json_error(location, error=error) from error

    def _read(self, characters: int) -> bool:
        more = self._file.read(characters)
        self._text, self._position = self._text[self._position :] + more, 0
        return bool(more)


def _decode(text: str, *, location: str, allow_rest: bool = False) -> Any:
    try:
        return _DECODER.raw_decode(text)[0] if allow_rest else _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _json_error(location, error=error) from error
    except errors.BadDataError as error:
        raise errors.BadDataError(f"{location}: {error.message}.") from error
    except RecursionError as error:
        raise errors.BadDataError(f"{location} is nested too deeply.") from error


def _json_error(location: str, *, error: json.JSONDecodeError) -> errors.BadDataError:
    excerpt = error.doc[error.pos : error.pos + SHOWN_CHARACTERS]
    position = f"at {excerpt!r}" if excerpt else "at its end; it seems to be cut off"
    return errors.BadDataError(f"{location} is not valid JSON: {error.msg} {position}.")


def _require_object(value: Any, *, location: str) -> Row:
    if isinstance(value, dict):
        return value
    raise errors.BadDataError(f"{location} is {_describe(value)}; it must be an object of column names and values.")


def _describe(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, WholeNumber | FractionalNumber):
        return f"the number {value[:SHOWN_CHARACTERS]}"
    return "null" if value is None else repr(value)[:SHOWN_CHARACTERS]
