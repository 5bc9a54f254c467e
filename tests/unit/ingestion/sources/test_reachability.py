"""Why a source can't be reached: host, port and cause, and nothing that is secret."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared import errors, settings
from shared.ingestion import sources
from shared.outbound import causes
from tests import servers_mariadb, servers_postgres
from tests.conftest import open_or_skip
from tests.unit.ingestion.sources import named
from workers.ingestion.sources import databases, fetch

SECRET = "canaryword"

REFUSED = "the connection is refused, as where nothing listens on this port."


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port on which nothing listens, and which nobody else is given meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def message_of(config: settings.Settings, scratch: Path, source: sources.FetchedSource | None = None) -> str:
    """Try to load; return what is said of the failure."""
    source = source or sources.SqlSource(type="sql", connection="warehouse", query="SELECT 1 AS a")
    with pytest.raises(errors.MillraceError) as caught:
        fetch.fetch(source, tenant_id="default", scratch=scratch, config=config)
    assert "canary" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mariadb"])
def test_a_server_that_is_not_there_is_told_with_host_port_and_cause(
    scheme: str, closed_port: int, tmp_path: Path, scratch: Path
) -> None:
    url = f"{scheme}://canaryuser:{SECRET}@127.0.0.1:{closed_port}/canarybase"
    assert message_of(named.database(tmp_path, url), scratch) == (
        f"The database 'warehouse' at 127.0.0.1:{closed_port} can't be reached at the moment: {REFUSED}"
    )


@pytest.mark.parametrize(("scheme", "port"), [("postgresql", 5432), ("mysql", 3306)])
def test_a_name_that_nobody_has_is_told_with_the_port_that_is_usual(
    scheme: str, port: int, tmp_path: Path, scratch: Path
) -> None:
    url = f"{scheme}://canaryuser:{SECRET}@nobody.invalid/canarybase"
    said = message_of(named.database(tmp_path, url), scratch)
    assert said.startswith(f"The database 'warehouse' at nobody.invalid:{port} can't be reached at the moment: ")
    assert "name" in said.rpartition(":")[2]


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_says_nothing_is_told_as_such(
    scheme: str, silent_port: int, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 2)
    url = f"{scheme}://canaryuser:{SECRET}@127.0.0.1:{silent_port}/canarybase"
    said = message_of(named.database(tmp_path, url, ingestion_source_seconds=2), scratch)
    assert said.endswith(f"at 127.0.0.1:{silent_port} can't be reached at the moment: it does not answer in time.")


def test_a_refused_login_of_postgresql_is_told_as_such(
    postgres: servers_postgres.Postgres, tmp_path: Path, scratch: Path
) -> None:
    url = postgres.create_database()
    port = sa.make_url(url).port or 5432
    wrong = f"postgresql://canaryuser:{SECRET}@127.0.0.1:{port}/canarybase"
    said = message_of(named.database(tmp_path, wrong), scratch)
    assert said.startswith(f"The database 'warehouse' at 127.0.0.1:{port} refuses the operator's login: ")


@pytest.mark.servers
def test_a_refused_login_and_a_database_that_is_not_there_are_told_of_mariadb(tmp_path: Path, scratch: Path) -> None:
    with open_or_skip(servers_mariadb.find) as server:
        base, _, _name = server.url.rpartition("/")
        place = base.rpartition("@")[2]
        wrong = f"mysql://canaryuser:{SECRET}@{place}/canarybase"
        assert "refuses the operator's login: " in message_of(named.database(tmp_path, wrong), scratch)
        absent = named.database(tmp_path, f"{base}/canarybase")
        assert "has no database of the name that the operator gave." in message_of(absent, scratch)


def test_a_store_and_a_web_server_that_are_not_there_are_told_with_the_cause(
    closed_port: int, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingestion.sources.s3_objects.RETRY_SECONDS", 1)
    config = named.store(tmp_path, endpoint=f"http://127.0.0.1:{closed_port}")
    lake = sources.ObjectSource(type="object", url="s3://data/timeout.csv", connection="lake")
    assert message_of(config, scratch, lake) == (
        f"The store 'lake' at 127.0.0.1:{closed_port} can't be read at the moment (GenericError): {REFUSED}"
    )
    open_config = settings.Settings(ingestion_allow_hosts=["127.0.0.1/32"], ingestion_ports=[closed_port])
    page = sources.UrlSource(type="url", url=f"http://127.0.0.1:{closed_port}/t.csv?key=canary")
    assert message_of(open_config, scratch, page) == (
        f"http://127.0.0.1:{closed_port}/t.csv?… can't be read at the moment (ConnectError): {REFUSED}"
    )


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("[Errno 113] No route to host", "no route leads there"),
        ("FATAL:  sorry, too many clients already", "it has no connection left"),
        ("Lost connection to MySQL server during query ([Errno 104])", "it ended the connection"),
        ("server does not support SSL, but SSL was required", "TLS"),
        ("something else", ""),
    ],
)
def test_causes_are_found_in_the_words_of_drivers(error: str, cause: str) -> None:
    assert cause in causes.explain(OSError(error))
    assert bool(causes.explain(OSError(error))) == bool(cause)
