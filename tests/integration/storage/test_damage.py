"""Objects that were damaged in the store: no client is given them as if they were whole."""

import http.client
import os
import pathlib

import flask.testing
import pytest
import sqlalchemy as sa

from api.reads import integrity
from shared import database
from shared.catalog import datasets
from shared.objects import local
from shared.objects.store import Store
from shared.storage.tables import archives
from shared.training.tables import model_versions
from tests.integration import sample_data, worker
from tests.integration.http.wire import connected, head
from tests.integration.steps import at_home, problem_of
from tests.integration.storage import stock
from tests.system_under_test import System

Client = flask.testing.FlaskClient
THINGS = "/v1/datasets/things/versions/1"


def damage(path: pathlib.Path, *, at: float = 0.7, length: int = 16) -> None:
    """Change some bytes in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(int(path.stat().st_size * at))
        piece = bytes(byte ^ 0xFF for byte in file.read(length))
        file.seek(-len(piece), os.SEEK_CUR)
        file.write(piece)


@pytest.fixture
def things(store: local.LocalStore) -> pathlib.Path:
    """Return the file of a dataset's version."""
    return store.path_of(stock.key_of("ingestion", datasets.VERSIONS, "things", 1))


@pytest.mark.parametrize("path", ["rows", "content", "content?format=csv"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_damaged_dataset_is_a_problem_before_the_first_byte(
    client: Client, things: pathlib.Path, path: str, at: float
) -> None:
    assert client.get(f"{THINGS}/{path}").status_code == 200
    damage(things, at=at, length=1)
    problem = problem_of(client.get(f"{THINGS}/{path}"), 503)
    assert problem["type"] == "urn:millrace:problem:damaged"
    assert "things@1 is damaged: it has SHA-256" in problem["detail"]
    assert "/v1/storage/verify" in problem["detail"]


@pytest.mark.parametrize("path", ["rows", "content", "content?format=csv"])
def test_a_dataset_that_can_not_be_read_is_a_problem_too(client: Client, things: pathlib.Path, path: str) -> None:
    things.unlink()
    things.mkdir()
    assert "it can't be read (IsADirectoryError)" in problem_of(client.get(f"{THINGS}/{path}"), 503)["detail"]
    things.rmdir()
    assert "gone from the store" in problem_of(client.get(f"{THINGS}/{path}"), 404)["detail"]


def test_a_damaged_model_and_a_damaged_archive_are_problems(client: Client, store: local.LocalStore) -> None:
    stock.packed(client, what="dataset", name="things")
    (archive,) = client.get("/v1/storage/archives").get_json()["archives"]
    with database.of_process()["storage"].statements.connect() as connection:
        key = connection.execute(sa.select(archives.c.key)).scalar_one()
    for damaged, path in (
        (key, f"/v1/storage/archives/{archive['id']}/content"),
        (
            stock.key_of("training", model_versions, "greatness", 1),
            "/v1/models/greatness/versions/1/export?format=skops",
        ),
    ):
        assert client.get(path).status_code == 200
        damage(store.path_of(damaged))
        problem_of(client.get(path), 503)


def test_an_object_is_hashed_once_while_nobody_writes_it(
    client: Client, things: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    real = Store.sha256

    def sha256(store: Store, key: str) -> str:
        hashed.append(key)
        return real(store, key)

    monkeypatch.setattr(Store, "sha256", sha256)
    integrity._hash.cache_clear()
    for _ in range(2):
        for path in ("rows", "content", "content?format=csv"):
            assert client.get(f"{THINGS}/{path}").status_code == 200
    assert len(hashed) == 1
    os.utime(things)
    assert client.get(f"{THINGS}/rows").status_code == 200
    assert len(hashed) == 2


def test_csv_declares_its_length(client: Client) -> None:
    answer = client.get(f"{THINGS}/content?format=csv")
    assert answer.content_length == len(answer.data)
    assert answer.text.replace('"', "") == sample_data.table(rows=40).decode()
    with client.head(f"{THINGS}/content?format=csv") as head_only:
        assert head_only.content_length == answer.content_length


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_fault_on_the_way_never_looks_like_the_end(served: System, form: str) -> None:
    name = f"breaks-{form}"
    data = b"a,b\n" + b"".join(b"%d,%s\n" % (number, os.urandom(60).hex().encode()) for number in range(250_000))
    answer = served.client.post(f"/v1/datasets/{name}", content=data, headers={"Content-Type": "text/csv"})
    with at_home(served.home):
        assert worker.perform(answer.json()) is None
        key = stock.key_of("ingestion", datasets.VERSIONS, name, 1)
    path = served.home / "objects" / key
    with connected(served) as connection:
        connection.sendall(head(served, "GET", f"/v1/datasets/{name}/versions/1/content?format={form}"))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        os.truncate(path, path.stat().st_size // 2)
        if form == "parquet":
            # The object itself is sent; CSV was made of it before its first byte.
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()
        else:
            assert response.read().count(b"\n") == 250_001
