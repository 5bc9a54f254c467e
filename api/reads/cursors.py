"""Cursors: where a page of a list ended, encoded so that clients treat it as opaque."""

import base64
import re

from shared import errors


def pack(text: str) -> str:
    """Encode where a page ended as a cursor."""
    return base64.urlsafe_b64encode(f"1:{text}".encode()).decode().rstrip("=")


def unpack(cursor: str | None, *, pattern: str) -> str | None:
    """Decode a cursor that `pack` made; raises MalformedRequestError for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        text = ""
    if not re.fullmatch(f"1:{pattern}", text):
        raise errors.MalformedRequestError(f"cursor is {cursor[:80]!r}; send the `next_cursor` of the previous page.")
    return text.removeprefix("1:")
