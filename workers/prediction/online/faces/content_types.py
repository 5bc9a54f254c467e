"""The `content_type` by which MLServer's clients say what the values of a request or of one input are."""

import base64
import binascii
import datetime
from typing import Any

from shared import errors

NAMES = ("pd", "np", "str", "base64", "datetime")
_OF_TEXTS = frozenset({"str", "base64", "datetime"})


def read(parameters: Any, *, of: str) -> str | None:
    """Read the content type of a request or an input, which `of` names, from its `parameters`; raises BadDataError."""
    name = parameters.get("content_type") if isinstance(parameters, dict) else None
    if name is not None and name not in NAMES:
        shown = repr(name[:40]) if isinstance(name, str) else "no text"
        raise errors.BadDataError(f"the `content_type` of {of} is {shown}; these are: {', '.join(NAMES)}")
    return None if name is None else str(name)


def decode(name: str, datatype: str, values: list[Any], *, content_type: str | None) -> list[Any]:
    """Decode the values of an input, whose name and datatype are for the error, BadDataError."""
    if content_type not in _OF_TEXTS:
        return values
    if datatype != "BYTES":
        raise errors.BadDataError(
            f"the input {name!r} has the content type {content_type}, which wants the datatype BYTES, not {datatype}"
        )
    if content_type == "base64":
        return [None if value is None else _from_base64(name, value) for value in values]
    if content_type == "datetime":
        for value in values:
            if value is not None:
                _require_time(name, value)
    return values


def _from_base64(name: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise errors.BadDataError(f"the input {name!r} holds a value that is not base64 of a UTF-8 text") from error


def _require_time(name: str, value: str) -> None:
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError as error:
        raise errors.BadDataError(
            f"the input {name!r} has the content type datetime, but holds {value[:80]!r}; send times as in ISO 8601, "
            "such as '2026-01-31T12:00:00Z'"
        ) from error
