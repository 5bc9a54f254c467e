"""Uploads: bytes go from the socket to the object store, never held whole in memory."""

import hashlib
from typing import Any

import flask
import werkzeug.exceptions

from api import bodies, door
from shared import errors, ids, pins

FORMATS = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
_CHUNK_BYTES = 256 * 1024
_LARGEST_COMMAND_BYTES = 64 * 1024


def media_type() -> str:
    """Give the format that the request's type says; raises UnsupportedMediaTypeError."""
    given = flask.request.mimetype
    if given not in FORMATS:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {given or 'missing'!r}; send the bytes themselves as one of: {', '.join(FORMATS)}."
        )
    return FORMATS[given]


def compression() -> str:
    """Give how the request's bytes are packed; raises UnsupportedMediaTypeError."""
    given = flask.request.headers.get("Content-Encoding", "identity").strip().lower()
    if given not in {"identity", "gzip"}:
        raise errors.UnsupportedMediaTypeError(f"Content-Encoding is {given[:40]!r}; send gzip, or no encoding.")
    return "gzip" if given == "gzip" else "none"


def receive() -> tuple[str, dict[str, Any]]:
    """Store the request's bytes; gives the upload's id and its pin."""
    here = door.current()
    flask.request.max_content_length = here.config.max_upload_bytes
    upload = ids.new_ulid()
    key = pins.upload_key(upload, tenant_id=door.client().tenant_id)
    digest, size = hashlib.sha256(), 0
    try:
        with here.store.write(key) as file:
            while chunk := flask.request.stream.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > here.config.max_upload_bytes:
                    raise errors.TooLargeError(
                        f"The upload is larger than {here.config.max_upload_bytes} bytes, the most that is taken."
                    )
                digest.update(chunk)
                file.write(chunk)
            _check_whole(size)
    except (werkzeug.exceptions.ClientDisconnected, ConnectionError) as gone:
        raise errors.MalformedRequestError("The body ended before all of it had come.") from gone
    return upload, {"key": key, "bytes": size, "sha256": digest.hexdigest()}


def _check_whole(size: int) -> None:
    declared = flask.request.content_length
    if declared is not None and declared != size:
        raise errors.MalformedRequestError(f"Content-Length says {declared} bytes, but {size} came.")
    if size == 0:
        raise errors.MalformedRequestError("The body is empty; send the table's bytes.")


def as_command(pin: dict[str, Any]) -> dict[str, Any] | None:
    """Read a small JSON upload as a command with a `source`; None when it is data."""
    if pin["bytes"] > _LARGEST_COMMAND_BYTES:
        return None
    body = door.current().store.path_of(pin["key"]).read_bytes()
    try:
        document = bodies.loads(body)
    except errors.MalformedRequestError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("source"), dict) else None


def forget(pin: dict[str, Any]) -> None:
    """Remove an upload that no job will read."""
    door.current().store.remove(pin["key"])
