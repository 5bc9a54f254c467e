"""Answers that are streamed in chunks: an object as it is in the store, and all rows of a dataset.

Both are checked before their first byte, and have a length: docs/decisions/storage.md, "What the API sends is checked
before its first byte, and always has a length".
"""

import os
from typing import Any, Literal

import flask

from api import context, responses
from api.reads import integrity, tables

_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def send_object(
    key: str,
    *,
    name: str,
    size: int,
    sha256: str,
    content_type: str = "application/octet-stream",
    label: str | None = None,
) -> flask.Response:
    """Answer with an object, as a download with a file name; raises NotFoundError, DamagedError, which name `label`."""

    def make_response() -> flask.Response:
        file = integrity.check(context.current().objects, key, sha256=sha256, label=label or name).open()
        _tell_path(file)
        response = _response(tables.Content(size, tables.read_chunks(file), file.close), content_type, name=name)
        response.set_etag(sha256)
        return response.make_conditional(flask.request)  # type: ignore[return-value]

    return context.current().slots.stream(context.client().key_id, make_response)


def send_rows(version: Any, *, file_format: Literal["csv", "parquet"]) -> flask.Response:
    """Answer with all rows of a dataset's version, given its row; raises DamagedError, NotFoundError."""
    if file_format == "parquet":
        return send_object(
            version.key,
            name=f"{version.name}-{version.version}.parquet",
            size=version.bytes,
            sha256=version.sha256,
            content_type=_TYPES["parquet"],
            label=f"{version.name}@{version.version}",
        )

    def make_response() -> flask.Response:
        content = tables.open_csv(context.current().objects, version)
        return _response(content, _TYPES["csv"], name=f"{version.name}-{version.version}.csv")

    return context.current().slots.stream(context.client().key_id, make_response)


def _tell_path(file: Any) -> None:
    """Tell the front of a file in the file system, which it can send by its path."""
    path = getattr(file, "name", None)
    if isinstance(path, str | os.PathLike):
        flask.request.environ[responses.PATH] = os.fspath(path)


def _response(content: tables.Content, content_type: str, *, name: str) -> flask.Response:
    response = flask.Response(content.chunks, content_type=content_type)
    response.call_on_close(content.close)
    response.content_length = content.length
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
