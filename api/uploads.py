"""What a request says of the bytes that it uploads, and taking them in."""

from typing import Any

import flask
import werkzeug.exceptions

from api import bodies, context
from api.intake.uploads import keep
from shared import errors

FORMATS = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
_CHUNK_BYTES = 256 * 1024
_LINES = ("csv", "ndjson")


def media_type() -> str:
    """Give the format that the request's type says; raises UnsupportedMediaTypeError."""
    given = flask.request.mimetype
    if given not in FORMATS:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {given or 'missing'!r}; send the bytes themselves as one of: {', '.join(FORMATS)}."
        )
    return FORMATS[given]


def charset() -> str | None:
    """Give the text encoding that the request's type says, if it says one."""
    return flask.request.mimetype_params.get("charset")


def compression() -> str:
    """Give how the request's bytes are packed; raises UnsupportedMediaTypeError."""
    given = flask.request.headers.get("Content-Encoding", "identity").strip().lower()
    if given not in {"identity", "gzip"}:
        raise errors.UnsupportedMediaTypeError(f"Content-Encoding is {given[:40]!r}; send gzip, or no encoding.")
    return "gzip" if given == "gzip" else "none"


def check_end(file_format: str, *, compression: str) -> None:
    """Refuse bytes whose end can't be told from a connection that broke; raises LengthRequired.

    The server does not tell the two apart in a body without Content-Length. Packed bytes, Parquet and JSON show
    by themselves when they were cut off, and their job fails; lines would be loaded as if they were all.
    """
    if flask.request.content_length is None and compression == "none" and file_format in _LINES:
        raise werkzeug.exceptions.LengthRequired(
            f"There is no Content-Length, so {file_format} that was cut off could not be told from all of it; "
            "say how many bytes there are, or send them packed with `Content-Encoding: gzip`."
        )


def receive(*, what: str = "table") -> tuple[str, dict[str, Any]]:
    """Store the request's bytes, which are those of a table or an archive; returns the upload's id and its pin."""
    here, client = context.current(), context.client()
    flask.request.max_content_length = here.config.max_upload_bytes
    chunks = bodies.chunks(flask.request.stream, bytes_each=_CHUNK_BYTES)
    try:
        with here.slots.slot(client.key_id):
            return keep(
                here.objects,
                chunks,
                tenant_id=client.tenant_id,
                max_bytes=here.config.max_upload_bytes,
                what=what,
            )
    except (werkzeug.exceptions.ClientDisconnected, ConnectionError) as gone:
        raise errors.MalformedRequestError("The body ended before all of it had come.") from gone


def as_command(body: bytes | None) -> dict[str, Any] | None:
    """Read a small JSON upload as a command with a `source`; None when it is data."""
    if body is None:
        return None
    try:
        document = bodies.loads(body)
    except errors.MalformedRequestError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("source"), dict) else None
