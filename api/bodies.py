"""Reads a request strictly: its URL, its bytes and its JSON. Whatever is ambiguous is refused."""

import collections
import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import IO, Any, NoReturn

import flask
import orjson

from api import context
from shared import errors, storable

_CHUNK_BYTES = 64 * 1024
_MAX_DIGITS = 300
_MAX_DEPTH = 100
_MAX_VALUES = 100_000
_INTEGER_LIMIT = 2**63
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
_DEEPER = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


_TYPE_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def check_url() -> None:
    """Refuse a URL with a NUL character, or with a query parameter that is repeated."""
    query = flask.request.args
    if "\0" in flask.request.path or any("\0" in name or "\0" in value for name, value in query.items(multi=True)):
        raise errors.MalformedRequestError("The URL contains a NUL character (%00); remove it.")
    for name, values in query.lists():
        if len(values) > 1:
            raise errors.MalformedRequestError(f"The query has {name[:100]!r} {len(values)} times; send it once.")


def read_chunks(stream: IO[bytes], *, chunk_bytes: int) -> Iterator[bytes]:
    """Yield the bytes as they arrive, and check at the end that there were as many as Content-Length says."""
    size = 0
    while chunk := stream.read(chunk_bytes):
        size += len(chunk)
        yield chunk
    declared = flask.request.content_length
    if declared is not None and declared != size:
        raise errors.MalformedRequestError(f"Content-Length says {declared} bytes, but {size} were received.")


def read_all() -> bytes:
    """Read the request's body, which may have no more than `max_body_bytes`."""
    if flask.request.headers.get("Content-Encoding", "identity") != "identity":
        raise errors.UnsupportedMediaTypeError("This body can't be compressed; send it without Content-Encoding.")
    with context.current().slots.slot(context.client().key_id):
        return b"".join(read_chunks(flask.request.stream, chunk_bytes=_CHUNK_BYTES))


class Request(flask.Request):
    """A request whose JSON is read strictly."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Parse the body as a JSON object; raises our errors, never werkzeug's, whatever the arguments are."""
        if not self.is_json:
            raise errors.UnsupportedMediaTypeError(
                f"Content-Type is {self.mimetype or 'missing'!r}; send the body as 'application/json'."
            )
        document = loads(read_all())
        if not isinstance(document, dict):
            # flask-openapi would parse a string as JSON once more, and less strictly.
            raise errors.InvalidRequestError(f"The body is {_TYPE_NAMES[type(document)]}; send an object: {{…}}.")
        return document


def loads(body: bytes) -> Any:
    """Parse a JSON document; raises MalformedRequestError, which names the problem and its position."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise errors.MalformedRequestError(
            f"The body is not UTF-8: byte 0x{body[error.start]:02x} at position {error.start}."
        ) from error
    if text.startswith("\ufeff"):
        raise errors.MalformedRequestError("The body begins with a byte order mark; send JSON without one.")
    _check_structure(body)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_parse_object,
            parse_constant=_refuse_constant,
            parse_int=_parse_integer,
            parse_float=_parse_float,
        )
    except json.JSONDecodeError as error:
        raise errors.MalformedRequestError(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise errors.MalformedRequestError(f"The body is nested deeper than {_MAX_DEPTH} levels.") from error
    _check_count(text, document)
    _check_text(text, document)
    return document


def _check_structure(body: bytes) -> None:
    """Refuse deep nesting before the parser recurses, and far too many values before they are made."""
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH and body.count(b",") < _MAX_VALUES:
        return
    # Only brackets and commas outside of texts are left to look at, which is some thirty times faster than each byte.
    structure = _STRING.sub(b"", body).translate(None, delete=_NO_STRUCTURE)
    if structure.count(b",") >= _MAX_VALUES:
        raise _too_many_values()
    brackets = structure.translate(None, delete=b",")
    if any(depth > _MAX_DEPTH for depth in itertools.accumulate(map(_DEEPER.__getitem__, brackets))):
        raise errors.MalformedRequestError(f"The body is nested deeper than {_MAX_DEPTH} levels.")


def _check_count(text: str, document: Any) -> None:
    """Refuse too many values: validating one may cost many times its size."""
    if text.count(",") + text.count(":") < _MAX_VALUES:
        return
    count, pending = 0, [document]
    while pending:
        value = pending.pop()
        count += 1
        if count > _MAX_VALUES:
            raise _too_many_values()
        if isinstance(value, dict | list):
            pending.extend(value.values() if isinstance(value, dict) else value)


def _too_many_values() -> errors.TooLargeError:
    return errors.TooLargeError(f"The body has more than {_MAX_VALUES} values; send fewer at a time.")


def _check_text(text: str, document: Any) -> None:
    """Refuse what a database can't store: NUL characters, and halves of surrogate pairs; the error points at them."""
    if _NUL.search(text):
        _refuse_text(document, "The body contains a NUL character (\\u0000); remove it.")
    if "\\ud" in text or "\\uD" in text:
        try:
            orjson.dumps(document)
        except TypeError:
            _refuse_text(document, "The body contains half of a surrogate pair, which is not valid text.")


def _refuse_text(document: Any, message: str) -> NoReturn:
    pointer = _find_unstorable(document)
    raise errors.MalformedRequestError(message, problems=[errors.Problem(message, pointer)])


def _find_unstorable(document: Any) -> str:
    """Find the first text that a database can't store, and return the JSON pointer of it or of what it names."""
    pending = [("#", document)]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, str) and storable.to_text(value) != value:
            return pointer
        if isinstance(value, list):
            pending += reversed([(f"{pointer}/{index}", member) for index, member in enumerate(value)])
        elif isinstance(value, dict):
            if any(storable.to_text(name) != name for name in value):
                return pointer
            members = [
                (f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", member) for name, member in value.items()
            ]
            pending += reversed(members)
    return "#"


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        ((repeated, _),) = collections.Counter(name for name, _ in pairs).most_common(1)
        raise errors.MalformedRequestError(f"The name {repeated[:100]!r} is repeated in one object; send it once.")
    return document


def _refuse_constant(name: str) -> float:
    raise errors.MalformedRequestError(f"{name} is not JSON; leave the value out or send a number.")


def _parse_integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise errors.MalformedRequestError(f"A number has {len(digits)} digits; an integer must fit into 64 bits.")
    number = int(digits)
    if not -_INTEGER_LIMIT <= number < _INTEGER_LIMIT:
        raise errors.MalformedRequestError(f"{digits[:40]} doesn't fit into an integer of 64 bits.")
    return number


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise errors.MalformedRequestError(f"{digits[:40]} is too large for a 64-bit float (about 1.8e308).")
    return number
