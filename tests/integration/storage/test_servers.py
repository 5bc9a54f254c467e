"""The storage role on PostgreSQL, and what it answers while a database or the store is down."""

import pathlib
from typing import Any

import flask
import flask.testing
import pytest

from api.intake.keys import Keys
from migrations import command_line
from shared import database, errors, ids
from shared.objects import store
from tests import servers_postgres
from tests.integration import sample_data
from tests.integration.steps import at_home, client_of, down, opened, parts_of, problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


def test_a_database_that_is_down_makes_the_api_answer_503(app: flask.Flask, client: Client) -> None:
    with down(app, "prediction"):
        for path, body in (("verify", None), ("prune", {}), ("export", {"what": "tenant"})):
            sent = {} if body is None else {"json": body}
            problem_of(client.post(f"/v1/storage/{path}", **sent), 503)


def test_errors_of_the_store_are_the_apis_503(app: flask.Flask, client: Client, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise store.StoreDownError

    monkeypatch.setattr(type(parts_of(app).objects), "open_read", fail)
    problem = problem_of(client.get("/v1/datasets/things/versions/1/rows"), 503)
    assert "object store" in problem["detail"]
    assert issubclass(store.StoreDownError, errors.UnavailableError)


@pytest.mark.servers
def test_the_storage_role_works_on_postgresql(
    postgres: servers_postgres.Postgres, template: tuple[pathlib.Path, dict[str, str]], tmp_path: pathlib.Path
) -> None:
    prefix = f"storage_{ids.new_ulid().lower()}"
    try:
        with at_home(tmp_path, DATABASE_URL=postgres.url(prefix + "_{role}")):
            assert command_line.main(["upgrade", "all"]) == 0
            key = Keys(database.of_process()).create("tests", scopes=["admin"])
            with opened() as app:
                _live_on_a_server(client_of(app, key))
    finally:
        postgres.drop_databases(prefix)


def _live_on_a_server(client: Client) -> None:
    for rows in (40, 41, 42):
        sample_data.load(client, "things", sample_data.table(rows=rows))
    for path, order in sample_data.ORDERS[:1] + [sample_data.ORDERS[2]] * 2:
        sample_data.done(client, client.post(path, json=order))
    client.put("/v1/models/greatness/aliases/champion", json={"version": 1})
    verified = stock.do(client, "verify")
    assert verified["sound"] == verified["objects"] == 7
    archive = stock.packed(client, what="tenant")
    assert [one["version"] for one in stock.prune(client, keep_last=1)["retired"]] == [2]
    stock.restore(client, archive)
    assert client.get("/v1/datasets/things").get_json()["versions"][0]["version"] == 4
    used = client.get("/v1/storage/usage").get_json()
    assert used["unavailable"] == []
    assert {use["kind"]: use["deleted_objects"] for use in used["uses"] if use["role"] == "ingestion"} == {"dataset": 1}
    for path in ("archives", f"archives/{client.get('/v1/storage/archives').get_json()['archives'][0]['id']}"):
        assert client.get(f"/v1/storage/{path}").status_code == 200
