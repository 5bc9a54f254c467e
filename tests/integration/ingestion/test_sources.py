"""Every source of `ingestion.load`, from the request to the stored rows."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of
from tests.unit.ingestion.sources.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a web server."""
    with Site() as site:
        yield site


@pytest.fixture
def client(home: Path, keyring: dict[str, str], site: Site, tmp_path: Path) -> Iterator[flask.testing.FlaskClient]:
    """Return a client of a system whose operator has opened the site, a folder and a database."""
    shop = tmp_path / "shop.sqlite"
    with sqlite3.connect(shop) as connection:
        connection.execute("CREATE TABLE sales (id INTEGER, town TEXT)")
        connection.executemany("INSERT INTO sales VALUES (?, ?)", [(1, "Ulm"), (2, "Bern")])
    connection.close()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "towns.csv").write_text("town,code\nUlm,007\n")
    named = tmp_path / "connections.toml"
    named.write_text(f'[shop]\nurl = "sqlite:///{shop}"\n')
    named.chmod(0o600)
    with (
        at_home(
            home,
            INGESTION_ALLOW_HOSTS="127.0.0.1/32",
            INGESTION_PORTS=str(site.port),
            INGESTION_PAGE_SECONDS="0",
            INGESTION_CONNECTIONS=str(named),
            INGESTION_FILE_ROOTS=str(tmp_path / "open"),
        ),
        opened() as app,
    ):
        yield client_of(app, keyring["admin"])


def load(client: flask.testing.FlaskClient, name: str, **command: Any) -> dict[str, Any]:
    return sample_data.done(client, client.post(f"/v1/datasets/{name}", json=command))


def rows(client: flask.testing.FlaskClient, name: str, version: int = 1) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/datasets/{name}/versions/{version}/rows").get_json()
    found: list[dict[str, Any]] = answer["rows"]
    return found


def lineage(client: flask.testing.FlaskClient, name: str) -> dict[str, Any]:
    version = client.get(f"/v1/datasets/{name}/versions/1").get_json()
    found: dict[str, Any] = version["lineage"]["source"]
    return found


def test_a_file_of_a_web_server(client: flask.testing.FlaskClient, site: Site) -> None:
    address = site.put("/towns.csv?key=canary", "town,code\nUlm,007\n", Content_Type="text/csv")
    job = load(client, "towns", source={"type": "url", "url": address})
    assert job["result"]["dataset"]["rows"] == 1
    assert rows(client, "towns") == [{"town": "Ulm", "code": "007"}]
    assert lineage(client, "towns")["type"] == "url"
    assert "canary" not in str(lineage(client, "towns"))


@pytest.mark.parametrize(("csv", "read"), [({}, "\u0141\xf3d\u017a"), ({"encoding": "cp1252"}, "\xa3\xf3d\xbc")])
def test_a_file_is_read_in_the_charset_that_its_server_says(
    client: flask.testing.FlaskClient, site: Site, csv: dict[str, str], read: str
) -> None:
    data = "a,b\n\u0141\xf3d\u017a,1\n".encode("iso-8859-2")
    address = site.put("/t.csv", data, Content_Type="text/csv; charset=iso-8859-2")
    load(client, "towns", source={"type": "url", "url": address}, csv=csv)
    assert rows(client, "towns") == [{"a": read, "b": 1}]


def test_a_table_of_a_web_page(client: flask.testing.FlaskClient, site: Site) -> None:
    body = '<table><tr><th>town<th>people<tr><td>Ulm<td>126949<tr><td>A;B, "C"<td></table>'
    source = {"type": "html_table", "url": site.put("/t", body, Content_Type="text/html")}
    load(client, "towns", source=source, csv={"delimiter": ";"})
    assert rows(client, "towns") == [{"town": "Ulm", "people": 126949}, {"town": 'A;B, "C"', "people": None}]


def test_a_list_of_a_web_page(client: flask.testing.FlaskClient, site: Site) -> None:
    address = site.put("/t", "<li>Ulm<b>1.5</b><li>Bern", Content_Type="text/html")
    source = {"type": "html_list", "url": address, "rows": "li", "fields": {"x": {"selector": "b"}, "all": {}}}
    load(client, "towns", source=source)
    assert rows(client, "towns") == [{"x": 1.5, "all": "Ulm1.5"}, {"x": None, "all": "Bern"}]


def test_a_query_goes_on_from_where_it_was(client: flask.testing.FlaskClient, tmp_path: Path) -> None:
    source = {
        "type": "sql",
        "connection": "shop",
        "query": "SELECT * FROM sales WHERE id < :most",
        "params": {"most": 9},
    }
    command = {"source": source, "watermark": {"column": "id"}, "mode": "append"}
    load(client, "sales", **command)
    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        connection.execute("INSERT INTO sales VALUES (3, 'Rom')")
    connection.close()
    job = load(client, "sales", **command)
    assert job["result"]["dataset"]["version"] == 2
    assert [row["id"] for row in rows(client, "sales", 2)] == [1, 2, 3]
    again = load(client, "sales", **command)
    assert again["result"]["dataset"]["version"] == 2
    assert lineage(client, "sales")["connection"] == "shop"


def test_a_file_of_an_open_folder(client: flask.testing.FlaskClient, tmp_path: Path) -> None:
    load(client, "towns", source={"type": "object", "url": f"file://{tmp_path}/open/towns.csv"})
    assert rows(client, "towns") == [{"town": "Ulm", "code": "007"}]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"type": "url", "url": "http://169.254.169.254/latest/meta-data/"}, "port 80"),
        ({"type": "object", "url": "file:///etc/passwd"}, "not in a folder that is open"),
        ({"type": "sql", "connection": "nope", "query": "SELECT 1"}, "no connection 'nope'"),
        ({"type": "sql", "connection": "shop", "query": "DROP TABLE sales"}, "fails on 'shop'"),
    ],
)
def test_what_is_closed_fails_the_job_with_the_reason(
    client: flask.testing.FlaskClient, source: dict[str, Any], reason: str
) -> None:
    accepted = client.post("/v1/datasets/x", json={"source": source, "format": "csv"})
    assert worker.perform(accepted.get_json()) == "PermanentError"
    job = client.get(accepted.headers["Location"]).get_json()
    assert (job["state"], reason in job["error"]["message"]) == ("failed", True)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "url", "url": "ftp://example.org/t.csv"},
        {"type": "url", "url": "http://user:word@example.org/"},
        {"type": "url", "url": "http://exa mple.org/"},
        {"type": "url", "url": "https:///t.csv"},
        {"type": "url", "url": "http://[::1/"},
        {"type": "url", "url": "http://example.org:99999/"},
        {"type": "url"},
        {"type": "nope"},
        {"type": "html_table", "url": "http://example.org/", "max_pages": 10_000},
        {"type": "html_list", "url": "http://example.org/", "rows": "li", "fields": {}},
        {"type": "sql", "connection": "shop", "query": "SELECT 1", "params": {"watermark": 1}},
        {"type": "sql", "connection": "../shop", "query": "SELECT 1"},
        {"type": "object", "url": "s3://data/t.csv"},
        {"type": "object", "url": "file://host/t.csv"},
        {"type": "object", "url": "gs://data/t.csv", "connection": "shop"},
    ],
)
def test_a_source_that_is_wrong_in_itself_is_refused_by_the_api(
    client: flask.testing.FlaskClient, source: dict[str, Any]
) -> None:
    answer = client.post("/v1/datasets/x", json={"source": source})
    assert answer.status_code == 422, answer.text
    assert answer.get_json()["errors"][0]["pointer"].startswith("#/source")


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:zq9@example.org/t.csv",
        "https://ann:zq9/zq9@example.org/t.csv",
        "http://ann:zq9 zq9@example.org/t.csv",
        "http://ann:zq9@example.org\uff0ft/t.csv",
        "http://ann:zq9@" + "x" * 2000,
        "ann:zq9@example.org/t.csv",
        "s3://ann:zq9@data/t.csv",
    ],
)
@pytest.mark.parametrize("kind", ["url", "object"])
def test_a_password_in_a_refused_url_is_not_repeated(client: flask.testing.FlaskClient, kind: str, url: str) -> None:
    source = {"type": kind, "url": url}
    answers = (
        client.post("/v1/datasets/x", json={"source": source}),
        client.post("/v1/jobs", json={"kind": "ingestion.load", "params": {"name": "x", "source": source}}),
    )
    for answer in answers:
        problem_of(answer, 422)
        assert "zq9" not in answer.text
        assert "***@" in answer.text
