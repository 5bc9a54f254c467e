"""Sending an object as it is in the store."""

from collections.abc import Iterator
from typing import BinaryIO

import flask

from api import door, soundness

_CHUNK_BYTES = 256 * 1024


def send(
    key: str, *, name: str, size: int, sha256: str, content_type: str = "application/octet-stream"
) -> flask.Response:
    """Answer with an object, to be saved under a name; raises NotFoundError, DamagedError."""

    def make() -> flask.Response:
        file = soundness.see(key, sha256=sha256, label=name).open()
        response = flask.Response(chunks(file), content_type=content_type)
        response.call_on_close(file.close)
        response.content_length = size
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.set_etag(sha256)
        return response.make_conditional(flask.request)  # type: ignore[return-value]

    return door.current().arrivals.streamed(door.client().key_id, make)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Give a file's bytes a piece at a time, and close it."""
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
