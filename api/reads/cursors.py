"""Cursors: where a page of a list ended, encoded so that clients treat it as opaque."""

import base64
import re
from typing import Any

import orjson

from shared import errors


def pack(text: str) -> str:
    """Encode where a page ended as a cursor."""
    return base64.urlsafe_b64encode(f"1:{text}".encode()).decode().rstrip("=")


def pack_values(values: list[Any]) -> str:
    """Encode texts, numbers and truth values as a cursor."""
    return pack(orjson.dumps(values).decode())


def unpack_values(cursor: str, *, least: int) -> list[Any]:
    """Decode a cursor that `pack_values` made of so many values or more; raises MalformedRequestError for others."""
    text = unpack(cursor, pattern=r"\[.*\]")
    try:
        values = orjson.loads(text or "")
    except ValueError as error:
        raise make_error(cursor) from error
    if len(values) < least:
        raise make_error(cursor)
    return list(values)


def make_error(cursor: str) -> errors.MalformedRequestError:
    """Make the error of a cursor that is none of this list's."""
    return errors.MalformedRequestError(
        f"cursor is {cursor[:80]!r}; send the `next_cursor` of the previous page, with the same sort."
    )


def unpack(cursor: str | None, *, pattern: str) -> str | None:
    """Decode a cursor that `pack` made; raises MalformedRequestError for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    if not re.fullmatch(f"1:{pattern}", text):
        raise errors.MalformedRequestError(f"cursor is {cursor[:80]!r}; send the `next_cursor` of the previous page.")
    return text.removeprefix("1:")
