"""Databases for the tests of shared/: one on SQLite and one on PostgreSQL, both empty before each test."""

import pathlib
import sqlite3
from collections.abc import Iterator

import pytest

from shared import database, settings
from tests import servers
from tests.unit.rig import ROLE, Rig, empty, make_tables


def _open(url: str, *, home: pathlib.Path) -> Iterator[database.Engines]:
    databases = database.Databases(settings.Settings(home=home, database_urls={ROLE: url}))
    make_tables(databases[ROLE])
    yield databases[ROLE]
    databases.dispose()


@pytest.fixture(scope="session")
def sqlite_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Engines]:
    """Yield the engines of a SQLite file."""
    home = tmp_path_factory.mktemp("databases")
    sqlite3.connect(home / "role.sqlite3").close()
    yield from _open(f"sqlite:///file:{home / 'role.sqlite3'}?mode=rw&uri=true", home=home)


@pytest.fixture(scope="session")
def postgresql_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.Engines]:
    """Yield the engines of a PostgreSQL database of our own."""
    try:
        server = servers.find_postgres()
    except servers.ServerNotFoundError as missing:
        if servers.required():
            raise
        pytest.skip(str(missing))
    with server:
        yield from _open(server.create_database(), home=tmp_path_factory.mktemp("home"))


@pytest.fixture(params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest) -> database.Engines:
    """Return an empty role's database, on SQLite and on PostgreSQL in turn."""
    found: database.Engines = request.getfixturevalue(f"{request.param}_engines")
    empty(found)
    return found


@pytest.fixture
def rig(engines: database.Engines) -> Rig:
    """Return the ledger on an empty database."""
    return Rig(engines)
