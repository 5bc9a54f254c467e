"""Uploads over HTTP: what the headers say about the bytes, and how the bytes are received."""

from typing import Any

import flask
import werkzeug.exceptions

from api import answers, bodies, context
from api.intake.uploads import store_upload
from shared import errors

FORMATS = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
_CHUNK_BYTES = 256 * 1024
_LINE_FORMATS = ("csv", "ndjson")


def file_format() -> str:
    """Return the file format that Content-Type names; raises UnsupportedMediaTypeError."""
    media_type = flask.request.mimetype
    if media_type not in FORMATS:
        raise errors.UnsupportedMediaTypeError(
            f"Content-Type is {media_type or 'missing'!r}; send the bytes themselves as one of: {', '.join(FORMATS)}."
        )
    return FORMATS[media_type]


def charset() -> str | None:
    """Return the text encoding that Content-Type names, if it names one."""
    return flask.request.mimetype_params.get("charset")


def compression() -> str:
    """Return how the request's bytes are compressed, `gzip` or `none`; raises UnsupportedMediaTypeError."""
    encoding = flask.request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise errors.UnsupportedMediaTypeError(f"Content-Encoding is {encoding[:40]!r}; send gzip, or no encoding.")
    return "gzip" if encoding == "gzip" else "none"


def require_length(file_format: str, *, compression: str) -> None:
    """Refuse a body without Content-Length when a truncated one would look complete; raises LengthRequired.

    Without Content-Length the server reports a broken connection as the body's end. Truncated gzip, Parquet and JSON
    can't be parsed, so their job fails; truncated lines would be loaded as if they were complete.
    """
    if flask.request.content_length is None and compression == "none" and file_format in _LINE_FORMATS:
        raise werkzeug.exceptions.LengthRequired(
            f"There is no Content-Length, so truncated {file_format} would look complete; "
            "send Content-Length, or compress the body and send `Content-Encoding: gzip`."
        )


def receive(*kind_names: str, content: str = "table") -> tuple[str, dict[str, Any]]:
    """Store the request's body, whose `content` is a table or an archive; returns the upload's id and its pin.

    QuotaExceededError when there is no room for it, unless its Idempotency-Key is that of a job of one of these kinds.
    """
    current, client = context.current(), context.client()
    flask.request.max_content_length = current.config.max_upload_bytes
    chunks = bodies.read_chunks(flask.request.stream, chunk_bytes=_CHUNK_BYTES)
    try:
        with (
            current.quota.receiving(
                client.tenant_id,
                announced=flask.request.content_length,
                is_repeated=lambda: current.submitter.is_repeated(
                    kind_names, client=client, key=answers.idempotency_key()
                ),
            ) as grow,
            current.slots.slot(client.key_id),
        ):
            return store_upload(
                current.objects,
                chunks,
                tenant_id=client.tenant_id,
                max_bytes=current.config.max_upload_bytes,
                content=content,
                grow=grow,
            )
    except (werkzeug.exceptions.ClientDisconnected, ConnectionError) as error:
        raise errors.MalformedRequestError("The connection broke before the whole body was received.") from error


def parse_command(body: bytes | None) -> dict[str, Any] | None:
    """Parse a small JSON upload as a command, an object with a `source`; None when it is data."""
    if body is None:
        return None
    try:
        document = bodies.loads(body)
    except errors.MalformedRequestError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("source"), dict) else None
