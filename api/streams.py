"""Answers of bytes that are sent a piece at a time: an object as it is in the store, and all rows of a dataset."""

from typing import Any, Literal

import flask

from api import context
from api.reads import integrity, tables

_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def send_object(
    key: str, *, name: str, size: int, sha256: str, content_type: str = "application/octet-stream"
) -> flask.Response:
    """Answer with an object, to be saved under a name; raises NotFoundError, DamagedError."""

    def make() -> flask.Response:
        file = integrity.check(context.current().objects, key, sha256=sha256, label=name).open()
        response = _response(tables.Content(size, tables.chunks_of(file), file.close), content_type, name=name)
        response.set_etag(sha256)
        return response.make_conditional(flask.request)  # type: ignore[return-value]

    return context.current().slots.streamed(context.client().key_id, make)


def send_rows(version: Any, *, form: Literal["csv", "parquet"]) -> flask.Response:
    """Answer with all rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""

    def make() -> flask.Response:
        content = tables.open_content(context.current().objects, version, form=form)
        return _response(content, _TYPES[form], name=f"{version.name}-{version.version}.{form}")

    return context.current().slots.streamed(context.client().key_id, make)


def _response(content: tables.Content, content_type: str, *, name: str) -> flask.Response:
    response = flask.Response(content.chunks, content_type=content_type)
    response.call_on_close(content.close)
    response.content_length = content.length
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
