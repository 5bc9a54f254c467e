"""Reading a request: its address and its bytes, and its JSON strictly: what can't mean one thing only is refused."""

import collections
import json
import math
import re
from collections.abc import Iterator
from typing import IO, Any

import flask
import orjson

from api import context
from shared import errors

_CHUNK_BYTES = 64 * 1024
_MOST_DIGITS = 300
_MOST_DEPTH = 100
_MOST_VALUES = 100_000
_LARGEST = 2**63
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


_NAMES = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def check_address() -> None:
    """Refuse a path or query that holds what no text here may, or that says a thing twice."""
    query = flask.request.args
    if "\0" in flask.request.path or any("\0" in name or "\0" in value for name, value in query.items(multi=True)):
        raise errors.MalformedRequestError("The address holds a NUL character (%00), which no text here may.")
    for name, values in query.lists():
        if len(values) > 1:
            raise errors.MalformedRequestError(f"The query has {name[:100]!r} {len(values)} times; give it once.")


def chunks(stream: IO[bytes], *, bytes_each: int) -> Iterator[bytes]:
    """Give the bytes as they come, and see at the end that they are as many as the request says."""
    size = 0
    while chunk := stream.read(bytes_each):
        size += len(chunk)
        yield chunk
    declared = flask.request.content_length
    if declared is not None and declared != size:
        raise errors.MalformedRequestError(f"Content-Length says {declared} bytes, but {size} came.")


class Request(flask.Request):
    """A request whose JSON is read strictly."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002, FBT001, FBT002
        """Give the body's document; raises our errors, never werkzeug's, whatever the arguments say."""
        if not self.is_json:
            raise errors.UnsupportedMediaTypeError(
                f"The body is {self.mimetype or 'of no type'!r}; send it as 'application/json'."
            )
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise errors.UnsupportedMediaTypeError("A JSON body is taken as it is, not packed; leave out the encoding.")
        with context.current().slots.slot(context.client().key_id):
            body = b"".join(chunks(self.stream, bytes_each=_CHUNK_BYTES))
        document = loads(body)
        if not isinstance(document, dict):
            # flask-openapi would read a string as a document once more, and less strictly.
            raise errors.InvalidRequestError(f"The body is {_NAMES[type(document)]}; send an object: {{…}}.")
        return document


def loads(body: bytes) -> Any:
    """Read a JSON document; raises MalformedRequestError saying what is wrong and where."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise errors.MalformedRequestError(
            f"The body is not UTF-8: byte 0x{body[wrong.start]:02x} at position {wrong.start}."
        ) from wrong
    if text.startswith("\ufeff"):
        raise errors.MalformedRequestError("The body begins with a byte order mark; send JSON without one.")
    _check_depth(text)
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as wrong:
        raise errors.MalformedRequestError(
            f"The body is not JSON: {wrong.msg} at line {wrong.lineno}, column {wrong.colno}."
        ) from wrong
    except RecursionError as wrong:
        raise errors.MalformedRequestError(f"The body is nested deeper than {_MOST_DEPTH} levels.") from wrong
    _check_count(text, document)
    _check_text(text, document)
    return document


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses."""
    if text.count("[") + text.count("{") <= _MOST_DEPTH:
        return
    depth = 0
    in_string = escaped = False
    for letter in text:
        if in_string:
            in_string = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            in_string = True
        elif letter in "[{":
            depth += 1
            if depth > _MOST_DEPTH:
                raise errors.MalformedRequestError(f"The body is nested deeper than {_MOST_DEPTH} levels.")
        elif letter in "]}":
            depth -= 1


def _check_count(text: str, document: Any) -> None:
    """Refuse a flood of values, each of which may cost many times its size when it is checked."""
    if text.count(",") + text.count(":") < _MOST_VALUES:
        return
    count, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise errors.TooLargeError(f"The body holds more than {_MOST_VALUES} values; send fewer at a time.")
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _check_text(text: str, document: Any) -> None:
    """Refuse what no database takes: NUL, and halves of surrogate pairs."""
    if _NUL.search(text):
        raise errors.MalformedRequestError("The body holds a NUL character (\\u0000), which no text here may.")
    if "\\ud" in text or "\\uD" in text:
        try:
            orjson.dumps(document)
        except TypeError as wrong:
            raise errors.MalformedRequestError("The body holds half of a surrogate pair, which is no text.") from wrong


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        ((twice, _),) = collections.Counter(name for name, _ in pairs).most_common(1)
        raise errors.MalformedRequestError(f"The name {twice[:100]!r} stands twice in one object.")
    return document


def _constant(name: str) -> float:
    raise errors.MalformedRequestError(f"{name} is no JSON; leave the value out or give a number.")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise errors.MalformedRequestError(f"A number has {len(digits)} digits; integers have 64 bits here.")
    number = int(digits)
    if not -_LARGEST <= number < _LARGEST:
        raise errors.MalformedRequestError(f"{digits[:40]} is beyond the integers of 64 bits.")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise errors.MalformedRequestError(f"{digits[:40]} is beyond what a number can be here (about 1.8e308).")
    return number
