"""Cursors: where a page of a list ended, packed so that clients don't take it apart."""

import base64
import re

from shared import errors


def pack(text: str) -> str:
    """Pack where a page ended."""
    return base64.urlsafe_b64encode(f"1:{text}".encode()).decode().rstrip("=")


def unpack(cursor: str | None, *, pattern: str) -> str | None:
    """Unpack a cursor that `pack` made; raises MalformedRequestError for anything else."""
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        text = ""
    if not re.fullmatch(f"1:{pattern}", text):
        raise errors.MalformedRequestError(f"cursor is {cursor[:80]!r}; give the `next_cursor` of the page before.")
    return text.removeprefix("1:")
