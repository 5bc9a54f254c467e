"""Reads the revision of something that requests change, by which a client says what it has read."""

from shared import errors


def parse(etag: str | None, *, of: str) -> int | None:
    """Read the revision of an `If-Match` header; None when there is none, or it is `*`. `of` says what it is of."""
    if etag is None or etag.strip() == "*":
        return None
    text = etag.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:
        raise errors.MalformedRequestError(f'If-Match is {etag[:80]!r}; send the `ETag` of the {of}, such as "3".')
    return int(text)
