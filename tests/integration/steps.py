"""How the tests of the API open it, speak with it and read its problems."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest

from api import app as applications
from api import context
from shared import database, settings


@contextlib.contextmanager
def at_home(home: pathlib.Path, **variables: str) -> Iterator[None]:
    """Let this process's settings and databases be those of a home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATABASE_URL", "STORAGE_URL"):
            patch.delenv(f"MILLRACE_{name}", raising=False)
        patch.setenv("MILLRACE_HOME", str(home))
        # A broker that is there and rings for nobody, so that no test waits for one that isn't.
        patch.setenv("MILLRACE_BROKER_URL", "memory://")
        patch.setenv("MILLRACE_REDIS_URL", "memory://")
        for name, value in variables.items():
            patch.setenv(f"MILLRACE_{name}", value)
        _forget()
        try:
            yield
        finally:
            database.of_process().dispose()
            _forget()


def _forget() -> None:
    settings.load.cache_clear()
    database.of_process.cache_clear()


_idle: list[flask.Flask] = []
"""Applications that nobody has open: making the routes takes longer than most tests of them."""


@contextlib.contextmanager
def opened(*, fresh: bool = False) -> Iterator[flask.Flask]:
    """Open the API on this process's settings, and close it; a fresh one takes further routes."""
    app = _idle.pop() if _idle and not fresh else applications.create_routes()
    applications.configure(app, settings.load())
    parts = parts_of(app)
    try:
        yield app
    finally:
        parts.ringer.stop(seconds=0.1)
        parts.databases.dispose()
        if not fresh:
            _idle.append(app)


def parts_of(app: flask.Flask) -> context.Context:
    """Return the parts that an application's routes work with."""
    parts: context.Context = app.extensions["millrace"]
    return parts


def client_of(app: flask.Flask, key: str | None) -> flask.testing.FlaskClient:
    """Return a client that sends a key, or none."""
    client = app.test_client()
    if key is not None:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


@contextlib.contextmanager
def down(app: flask.Flask, *stores: str) -> Iterator[None]:
    """Take databases away, and bring them back."""
    parts = parts_of(app)
    away = parts.config.home / "away"
    away.mkdir()
    for store in stores:
        _drop_connections(parts, store)
        for file in (parts.config.home / "databases").glob(f"{store}.sqlite3*"):
            file.rename(away / file.name)
    try:
        yield
    finally:
        for file in away.iterdir():
            file.rename(parts.config.home / "databases" / file.name)
        away.rmdir()
        for store in stores:
            _drop_connections(parts, store)


def _drop_connections(parts: context.Context, store: str) -> None:
    for databases in (parts.databases, database.of_process()):
        engines = databases[store]
        for engine in (engines.transactions, engines.statements, engines.relaxed):
            engine.dispose()


def problem_of(response: Any, status: int) -> dict[str, Any]:
    """Return a response's problem document, after checking that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.get_json() if hasattr(response, "get_json") else response.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:millrace:problem:")
    assert document["title"]
    assert document["detail"]
    assert document["instance"].startswith("urn:ulid:")
    return document
