"""Operators' databases that fall silent behind a hop that goes on acknowledging: the load fails, to be tried again."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from shared import bounded, errors, settings
from shared.ingestion import sources
from tests import servers_mariadb, servers_postgres
from tests.conftest import open_or_skip
from tests.silent_proxy import SilentProxy
from tests.unit.ingestion.sources import named
from workers.ingestion.limits import Limits
from workers.ingestion.sources import databases, sql

pytestmark = [pytest.mark.slow, pytest.mark.servers]

SECONDS = 2.0
PATIENCE_SECONDS = 10.0
ROWS = 60_000
WIDE = "repeat('x', 300)"
"""What makes the rows too many for what a connection holds on its way."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait seconds where it would be more in earnest, and let no other test's silence count."""
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(databases, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(bounded, "_silent_at", {})


@pytest.fixture
def postgresql(postgres: servers_postgres.Postgres) -> Iterator[str]:
    """Make a table in PostgreSQL and a login that may only read; gives the URL."""
    url = postgres.create_database().replace("+psycopg", "")
    name, word = f"reader_{secrets.token_hex(8)}", secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE numbers AS SELECT i, {WIDE} AS wide FROM generate_series(1, {ROWS}) AS n(i)")
        connection.execute("GRANT SELECT ON numbers TO PUBLIC")
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{word}'")
    yield sa.make_url(url).set(username=name, password=word).render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE {name}")


@pytest.fixture
def mariadb() -> Iterator[str]:
    """Make a table in MariaDB; gives the database's URL."""
    with open_or_skip(servers_mariadb.find) as server:
        server.run(
            f"USE {server.name}", f"CREATE TABLE numbers AS SELECT seq AS i, {WIDE} AS wide FROM seq_1_to_{ROWS}"
        )
        yield server.url


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    """Yield the URL of a database."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def proxy(url: str) -> Iterator[SilentProxy]:
    """Yield a proxy before the database."""
    there = sa.make_url(url)
    port = there.port or (5432 if there.get_backend_name() == "postgresql" else 3306)
    with SilentProxy(there.host or "127.0.0.1", port) as proxy:
        yield proxy


def fetch(config: settings.Settings, scratch: Path, *, when_read: list[int], proxy: SilentProxy) -> int:
    """Load the numbers; once some rows are read the connection falls silent."""

    def report(_fraction: float, _message: str) -> None:
        if when_read and when_read.pop():
            proxy.silence()

    source = sources.SqlSource(type="sql", connection="warehouse", query="SELECT i, wide FROM numbers")
    got = sql.fetch(source, tenant_id="default", scratch=scratch, config=config, limits=Limits(), report=report)
    return got.rows or 0


def test_a_load_whose_connection_falls_silent_ends_and_may_be_tried_again(
    url: str, proxy: SilentProxy, tmp_path: Path, scratch: Path
) -> None:
    behind = sa.make_url(url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    config = named.database(tmp_path, behind, ingestion_source_seconds=SECONDS)
    began = time.monotonic()
    with pytest.raises(errors.RetryableError) as caught:
        fetch(config, scratch, when_read=[1], proxy=proxy)
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert str(proxy.port) not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    patient = named.database(tmp_path, behind, ingestion_source_seconds=60)
    assert fetch(patient, scratch, when_read=[], proxy=proxy) == ROWS


def test_a_database_that_accepts_and_says_nothing_is_not_waited_for(
    url: str, proxy: SilentProxy, tmp_path: Path, scratch: Path
) -> None:
    behind = sa.make_url(url).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
    config = named.database(tmp_path, behind, ingestion_source_seconds=SECONDS)
    proxy.silence(new_too=True)
    began = time.monotonic()
    with pytest.raises(errors.RetryableError):
        fetch(config, scratch, when_read=[], proxy=proxy)
    assert time.monotonic() - began < PATIENCE_SECONDS
