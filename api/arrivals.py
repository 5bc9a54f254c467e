"""Taking in a request's bytes, without waiting for ever for a client that sends them slowly or not at all."""

import concurrent.futures
from typing import IO

import flask
import werkzeug.exceptions

from shared import errors

_PATIENCE_SECONDS = 10
_MOST_READERS = 512

# The server's stream has no time limit of its own, so somebody else waits for it. A reader that was given up
# ends as soon as the server closes the connection, which it does after an answer to a body that has not all come.
_readers = concurrent.futures.ThreadPoolExecutor(_MOST_READERS, thread_name_prefix="body")


def read(stream: IO[bytes], size: int = -1) -> bytes:
    """Read up to `size` bytes, all by default, which must come within 10 s; empty at the end."""
    try:
        return _readers.submit(stream.read, size).result(timeout=_PATIENCE_SECONDS)
    except TimeoutError as slow:
        raise werkzeug.exceptions.RequestTimeout(
            f"The body did not come within {_PATIENCE_SECONDS} seconds; send it without pauses."
        ) from slow


def check_whole(size: int) -> None:
    """Raise MalformedRequestError when fewer bytes came than the request says that it has."""
    declared = flask.request.content_length
    if declared is not None and declared != size:
        raise errors.MalformedRequestError(f"Content-Length says {declared} bytes, but {size} came.")


def check_address() -> None:
    """Refuse a path or query that holds what no text here may, or that says a thing twice."""
    query = flask.request.args
    if "\0" in flask.request.path or any("\0" in name or "\0" in value for name, value in query.items(multi=True)):
        raise errors.MalformedRequestError("The address holds a NUL character (%00), which no text here may.")
    for name, values in query.lists():
        if len(values) > 1:
            raise errors.MalformedRequestError(f"The query has {name[:100]!r} {len(values)} times; give it once.")
