"""Answers that are streamed in chunks: an object as it is in the store, and all rows of a dataset.

Both are checked before their first byte, and have a length: docs/decisions/storage.md, "What the API sends is checked
before its first byte, and always has a length".
"""

from typing import Any, Literal

import flask

from api import context
from api.reads import integrity, tables

_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def send_object(
    key: str, *, name: str, size: int, sha256: str, content_type: str = "application/octet-stream"
) -> flask.Response:
    """Answer with an object, as a download with a file name; raises NotFoundError, DamagedError."""

    def make_response() -> flask.Response:
        file = integrity.check(context.current().objects, key, sha256=sha256, label=name).open()
        response = _response(tables.Content(size, tables.read_chunks(file), file.close), content_type, name=name)
        response.set_etag(sha256)
        return response.make_conditional(flask.request)  # type: ignore[return-value]

    return context.current().slots.stream(context.client().key_id, make_response)


def send_rows(version: Any, *, file_format: Literal["csv", "parquet"]) -> flask.Response:
    """Answer with all rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""

    def make_response() -> flask.Response:
        content = tables.open_content(context.current().objects, version, file_format=file_format)
        return _response(content, _TYPES[file_format], name=f"{version.name}-{version.version}.{file_format}")

    return context.current().slots.stream(context.client().key_id, make_response)


def _response(content: tables.Content, content_type: str, *, name: str) -> flask.Response:
    response = flask.Response(content.chunks, content_type=content_type)
    response.call_on_close(content.close)
    response.content_length = content.length
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
