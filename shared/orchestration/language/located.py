"""Documents that know the line of each of their values, so that a mistake in a file of hundreds of lines is found."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from shared import errors, storable

Path = tuple[str | int, ...]
"""Names and indexes, from the root of a document."""

MAX_BYTES = 1024 * 1024
MAX_VALUES = 50_000
MAX_DEPTH = 60
_MAX_DIGITS = 300
_INTEGER_LIMIT = 2**63
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")


@dataclasses.dataclass(frozen=True)
class Located:
    """A document as plain values, with the line (from 1) on which each begins."""

    value: Any
    lines: Mapping[Path, int]

    def find_line(self, path: Path) -> int:
        """Return the line of a value, or of the nearest one around it that the document has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def refuse(detail: str, *, line: int, path: Path = ()) -> NoReturn:
    """Raise MalformedRequestError for a text that can't be read, with the line where."""
    problem = errors.Problem(f"line {line}: {detail}", to_pointer(path))
    raise errors.MalformedRequestError(f"The pipeline can't be read: line {line}: {detail}.", problems=[problem])


def to_pointer(path: Path, *, prefix: str = "#") -> str:
    """Write a path as a JSON pointer."""
    return "/".join([prefix, *(str(part).replace("~", "~0").replace("/", "~1") for part in path)])


def read_number(text: str, *, line: int) -> int | float:
    """Read a number as JSON writes it; MalformedRequestError when neither 64 bits nor a float hold it."""
    if len(text) > _MAX_DIGITS:
        refuse(f"a number has {len(text)} characters; at most {_MAX_DIGITS} are read", line=line)
    if _INTEGER.fullmatch(text):
        integer = int(text)
        if not -_INTEGER_LIMIT <= integer < _INTEGER_LIMIT:
            refuse(f"{text[:40]} doesn't fit into an integer of 64 bits", line=line)
        return integer
    number = float(text)
    if not math.isfinite(number):
        refuse(f"{text[:40]} is too large for a 64-bit float (about 1.8e308)", line=line)
    return number


@dataclasses.dataclass
class _Frame:
    """An object or an array that is being read."""

    container: dict[str, Any] | list[Any]
    path: Path
    label: str | None
    begins_at: tuple[int, int]
    """How many values, and how many characters of texts, the document had before it."""
    height: int = 1
    """How many levels of objects and arrays it has, its own included."""
    name: str | None = None
    """The name whose value comes next."""


@dataclasses.dataclass(frozen=True)
class _Labelled:
    """What stands under a label, with what it counts for wherever it is put."""

    value: Any
    values: int
    characters: int
    height: int


class Builder:
    """Puts a document together from the pieces that a parser finds, within bounds."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._frames: list[_Frame] = []
        self._lines: dict[Path, int] = {}
        self._labelled: dict[str, _Labelled] = {}
        self._values = 0
        self._characters = 0
        self._root: list[Any] = []

    @property
    def wants_name(self) -> bool:
        """Whether the next piece must be a name, or the end of the object."""
        return bool(self._frames) and isinstance(self._frames[-1].container, dict) and self._frames[-1].name is None

    @property
    def depth(self) -> int:
        """How many objects and arrays are open."""
        return len(self._frames)

    @property
    def path(self) -> Path:
        """Where the next value goes."""
        if not self._frames:
            return ()
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            return (*frame.path, len(frame.container))
        return frame.path if frame.name is None else (*frame.path, frame.name)

    def name(self, text: str, *, line: int) -> None:
        """Take the name of the value that comes next."""
        frame = self._frames[-1]
        self._require_storable(text, line=line)
        self._count_characters(len(text), line=line)
        if text in frame.container:
            first = self._lines[(*frame.path, text)]
            refuse(f"the name {text[:100]!r} stands on line {first} already; write it once", line=line, path=self.path)
        frame.name = text

    def open(self, container: dict[str, Any] | list[Any], *, line: int, label: str | None = None) -> None:
        """Begin an object or an array; under its label, if it has one, it can be put again once it is closed."""
        if len(self._frames) >= MAX_DEPTH:
            refuse(f"this is nested deeper than {MAX_DEPTH} levels", line=line, path=self.path)
        path = self.path
        begins_at = self._values, self._characters
        self.put(container, line=line)
        if label is not None:
            self._labelled.pop(label, None)
        self._frames.append(_Frame(container, path, label, begins_at))

    def close(self) -> None:
        """End the object or array that was begun last."""
        frame = self._frames.pop()
        self._raise_height(frame.height)
        if frame.label is not None:
            values, characters = frame.begins_at
            self._labelled[frame.label] = _Labelled(
                frame.container, self._values - values, self._characters - characters, frame.height
            )

    def put(self, value: Any, *, line: int, label: str | None = None) -> None:
        """Put a value at its place."""
        characters = len(value) if isinstance(value, str) else 0
        if characters:
            self._require_storable(value, line=line)
        if label is not None:
            self._labelled[label] = _Labelled(value, 1, characters, 0)
        self._place(_Labelled(value, 1, characters, 0), line=line)

    def _place(self, piece: _Labelled, *, line: int) -> None:
        """Put what is checked at its place, and count what it consists of."""
        value = piece.value
        self._values += piece.values
        if self._values > MAX_VALUES:
            raise errors.TooLargeError(f"The pipeline has more than {MAX_VALUES} values; line {line} is too many.")
        self._count_characters(piece.characters, line=line)
        self._lines[self.path] = line
        if not self._frames:
            self._root.append(value)
            return
        frame = self._frames[-1]
        if isinstance(frame.container, list):
            frame.container.append(value)
        elif frame.name is not None:
            frame.container[frame.name] = value
            frame.name = None

    def put_again(self, label: str, *, line: int) -> None:
        """Put what stands under a label, which counts as often as it is put."""
        if label not in self._labelled:
            refuse(f"*{label[:100]} names nothing that is complete above it", line=line, path=self.path)
        piece = self._labelled[label]
        if len(self._frames) + piece.height > MAX_DEPTH:
            refuse(f"this is nested deeper than {MAX_DEPTH} levels", line=line, path=self.path)
        self._place(piece, line=line)
        self._raise_height(piece.height)

    def _raise_height(self, height: int) -> None:
        """Note how high what was put into the open object or array is."""
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, height + 1)

    def _count_characters(self, count: int, *, line: int) -> None:
        self._characters += count
        if self._characters > MAX_BYTES:
            raise errors.TooLargeError(
                f"The pipeline's texts have more than {MAX_BYTES} characters with what its labels repeat; line {line} "
                "is too much."
            )

    def finish(self) -> Located:
        """Return the document; refuse an empty one."""
        if not self._root:
            refuse("it is empty", line=1)
        return Located(self._root[0], self._lines)

    def _require_storable(self, text: str, *, line: int) -> None:
        if not text.isascii() and storable.to_text(text) != text:
            refuse("a text has half of a surrogate pair", line=line, path=self.path)
        if "\0" in text:
            refuse("a text has a NUL character", line=line, path=self.path)
