"""Puts values in the place of references."""

import json
from collections.abc import Callable
from typing import Any

import orjson

from shared import suggestions
from shared.orchestration.language import references
from shared.orchestration.language.located import Path

MAX_BYTES = 1024 * 1024
"""How large a step's parameters may become, in bytes of JSON."""
_MAX_SHOWN = 20
Resolver = Callable[[references.Reference], Any]
Wants = Callable[[Path], bool]


def resolve(value: Any, resolver: Resolver, *, wants: Wants) -> Any:
    """Copy a document with the values of its references; ValueError for one that has none.

    `wants` says of a path whether a reference such as `churn@3` belongs there, which is then what a version, `{"name",
    "version", …}`, becomes.
    """
    return _Resolving(resolver, wants).resolve(value, ())


def follow(value: Any, reference: references.Reference, *, skip: int = 0) -> Any:
    """Take from a value what a reference's parts say, beginning after `skip` of them.

    A name taken from a list is taken from each of its members. ValueError says what was asked for, and what there is.
    """
    for number in range(skip, len(reference.parts)):
        part = reference.parts[number]
        before = references.Reference(reference.head, reference.parts[:number])
        if isinstance(part, str) and isinstance(value, list):
            value = [_take(member, part, of=before) for member in value]
        else:
            value = _take(value, part, of=before)
    return value


def _take(value: Any, part: str | int, *, of: references.Reference) -> Any:
    if isinstance(part, int):
        if not isinstance(value, list):
            raise ValueError(f"${{{of}[{part}]}} asks for an item, but ${{{of}}} is {describe(value)}")
        if part >= len(value):
            raise ValueError(f"${{{of}[{part}]}} is not there: ${{{of}}} has {len(value)} items, counted from 0")
        return value[part]
    asked = references.Reference(of.head, (*of.parts, part))
    if not isinstance(value, dict):
        raise ValueError(f"${{{asked}}} asks for a field, but ${{{of}}} is {describe(value)}")
    if part not in value:
        raise ValueError(f"${{{asked}}} is not there; ${{{of}}} has {list_known(part, value)}")
    return value[part]


def list_known(asked: str, names: Any) -> str:
    """List the names that there are, after the similar ones."""
    names = list(names)
    if not names:
        return "no fields"
    similar = suggestions.find_similar(asked, names)
    shown = ", ".join(map(str, names[:_MAX_SHOWN])) + (", …" if len(names) > _MAX_SHOWN else "")
    return f"{shown}; {suggestions.ask(similar)}" if similar else shown


def describe(value: Any) -> str:
    """Describe a value in a few words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return f"the number {value}"


def to_reference(value: Any) -> str | None:
    """Write a version as a reference, `churn@3`; None for what is no version."""
    if not isinstance(value, dict):
        return None
    name, version = value.get("name"), value.get("version")
    if not isinstance(name, str) or not isinstance(version, int) or isinstance(version, bool):
        return None
    return f"{name}@{version}"


class _Resolving:
    """Resolves one document, and counts what its references put into it."""

    def __init__(self, resolver: Resolver, wants: Wants) -> None:
        self._resolver = resolver
        self._wants = wants
        self._bytes = 0

    def resolve(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return {name: self.resolve(member, (*path, name)) for name, member in value.items()}
        if isinstance(value, list):
            return [self.resolve(member, (*path, index)) for index, member in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        pieces = references.split(value)
        if len(pieces) == 1:
            return self._whole(pieces[0], path)
        return "".join(self._insert(piece) for piece in pieces)

    def _whole(self, piece: str | references.Reference, path: Path) -> Any:
        if isinstance(piece, str):
            return piece
        value = self._resolver(piece)
        label = to_reference(value) if self._wants(path) else None
        self._count(orjson.dumps(value) if label is None else label)
        return value if label is None else label

    def _insert(self, piece: str | references.Reference) -> str:
        if isinstance(piece, str):
            return piece
        text = _to_text(self._resolver(piece), piece)
        self._count(text)
        return text

    def _count(self, value: str | bytes) -> None:
        self._bytes += len(value)
        if self._bytes > MAX_BYTES:
            raise ValueError(f"the references put more than {MAX_BYTES} bytes into the parameters")


def _to_text(value: Any, piece: references.Reference) -> str:
    if value is None:
        raise ValueError(f"${{{piece}}} is null, which can't be put into a text")
    label = to_reference(value)
    if label is not None:
        return label
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
