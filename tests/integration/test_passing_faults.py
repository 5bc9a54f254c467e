"""Databases that are read-only and disks that are full: every door answers 503, none 500, and all is well after."""

import contextlib
import pathlib
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api.intake import keys
from migrations import command_line
from shared import database, roles
from tests import disks, servers_postgres
from tests.integration import sample_data
from tests.integration.steps import at_home, client_of, opened, parts_of, problem_of

Client = flask.testing.FlaskClient
CSV: dict[str, Any] = {"data": b"a,great\n1,yes\n", "content_type": "text/csv"}
PREDICT = {"model": "greatness@1", "dataset": "things@1", "name": "again"}


@pytest.fixture(scope="module")
def on_postgresql(
    postgres: servers_postgres.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[flask.Flask, Client]]:
    """Yield an API on PostgreSQL that has data and models, and its client."""
    prefix = f"ro{secrets.token_hex(4)}"
    with at_home(tmp_path_factory.mktemp("home"), DATABASE_URL=postgres.url(f"{prefix}_{{role}}")):
        assert command_line.main(["upgrade", "all"]) == 0
        key = keys.Keys(database.of_process()).create("admin", scopes=["admin"])
        with opened() as app:
            client = client_of(app, key)
            sample_data.populate(client)
            # Other tests let this process's databases be those of other homes.
            database.of_process().dispose()
            yield app, client
    postgres.drop_databases(prefix)


@pytest.fixture(params=["sqlite", "postgresql"])
def system(request: pytest.FixtureRequest) -> tuple[flask.Flask, Client]:
    """Return an API that has data and models, and its client, on each database in turn."""
    if request.param == "postgresql":
        found: tuple[flask.Flask, Client] = request.getfixturevalue("on_postgresql")
        return found
    return request.getfixturevalue("populated_app"), request.getfixturevalue("populated")


def engines_of(app: flask.Flask, *stores: str) -> list[sa.Engine]:
    """List the engines of some databases."""
    found = [parts_of(app).databases[store] for store in stores]
    return [engine for each in found for engine in (each.transactions, each.statements, each.relaxed)]


def reasons_of(client: Client) -> dict[str, str]:
    """Say what isn't ready, and why, without the workers: jobs wait here, and there are none."""
    reasons: dict[str, str] = client.get("/readyz").get_json()["reasons"]
    return {name: reason for name, reason in reasons.items() if not name.startswith("consumer.")}


def doors(queued: str, ended: str) -> list[tuple[str, str, dict[str, Any]]]:
    """List the requests that write, each as method, path and options."""
    ping = {"kind": "training.ping", "params": {}}
    return [
        ("POST", "/v1/jobs", {"json": ping}),
        ("POST", "/v1/jobs", {"json": {**ping, "tags": ["a"]}}),
        ("POST", "/v1/jobs", {"json": ping, "headers": {"Idempotency-Key": "k"}}),
        ("POST", "/v1/jobs/batch", {"json": {"jobs": [ping, {"kind": "ingestion.ping", "params": {}}]}}),
        ("POST", f"/v1/jobs/{queued}/cancel", {}),
        ("POST", f"/v1/jobs/{ended}/retry", {}),
        ("POST", "/v1/datasets/things", CSV),
        ("POST", "/v1/datasets/unheard-of", CSV),
        ("DELETE", "/v1/datasets/things/versions/1", {}),
        ("POST", "/v1/models/greatness", {"json": sample_data.TRAINING}),
        ("DELETE", "/v1/models/greatness/versions/1", {}),
        ("PUT", "/v1/models/greatness/aliases/best", {"json": {"version": 1}}),
        ("POST", "/v1/predictions", {"json": PREDICT}),
        ("POST", "/v1/evaluations", {"json": {"model": "greatness@1", "dataset": "things@1"}}),
        ("POST", "/v1/storage/verify", {}),
        ("POST", "/v1/storage/prune", {"json": {"dry_run": True}}),
    ]


def test_every_door_that_writes_is_503_while_databases_are_read_only(system: tuple[flask.Flask, Client]) -> None:
    app, client = system
    submitted = [client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json() for _ in range(2)]
    queued, ended = (job["id"] for job in submitted)
    client.post(f"/v1/jobs/{ended}/cancel")
    with disks.read_only(*engines_of(app, *roles.STORES)):
        for method, path, options in doors(queued, ended):
            response = client.open(path, method=method, **options)
            detail = problem_of(response, 503)["detail"]
            assert "read-only" in detail, (method, path)
            assert int(response.headers["Retry-After"]) >= 1
            assert "INSERT" not in detail
            assert "UPDATE" not in detail
        for path in ("/v1/jobs", f"/v1/jobs/{queued}", "/v1/datasets/things", "/v1/models/greatness", "/v1/services"):
            assert client.get(path).status_code == 200, path
    assert client.get(f"/v1/jobs/{queued}").get_json()["state"] == "queued"
    for method, path, options in doors(queued, ended):
        status = client.open(path, method=method, **options).status_code
        assert status < 500, (method, path)


def test_only_the_role_that_is_read_only_refuses(system: tuple[flask.Flask, Client]) -> None:
    app, client = system
    parts_of(app).probes.fresh_seconds = 0
    with disks.read_only(*engines_of(app, "training")):
        problem_of(client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}), 503)
        for role in set(roles.ROLES) - {"training"}:
            assert client.post("/v1/jobs", json={"kind": f"{role}.ping", "params": {}}).status_code == 202
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
        assert reasons_of(client) == {"database.training": "is read-only at the moment"}
    assert reasons_of(client) == {}


@pytest.mark.parametrize("stores", [(roles.API,), tuple(roles.ROLES)], ids=["of the API", "of every role"])
def test_an_api_that_can_write_nothing_is_not_ready(system: tuple[flask.Flask, Client], stores: tuple[str]) -> None:
    app, client = system
    parts_of(app).probes.fresh_seconds = 0
    with disks.read_only(*engines_of(app, *stores)):
        assert client.get("/readyz").status_code == 503
        assert sorted(reasons_of(client)) == sorted(f"database.{name}" for name in stores)
    assert client.get("/readyz").status_code == 200


def test_many_who_ask_whether_it_is_ready_make_one_write(system: tuple[flask.Flask, Client]) -> None:
    app, client = system
    parts_of(app).probes.fresh_seconds = 60
    client.get("/readyz")
    writes: list[str] = []
    engine = parts_of(app).databases["training"].transactions
    sa.event.listen(engine, "before_cursor_execute", lambda *call: writes.append(call[2]))
    for _ in range(20):
        assert client.get("/readyz").status_code == 200
    assert writes == []
    parts_of(app).probes.fresh_seconds = 0


def test_readiness_really_writes(system: tuple[flask.Flask, Client]) -> None:
    app, client = system
    engine = parts_of(app).databases["training"].transactions
    parts_of(app).probes.fresh_seconds = 0
    client.get("/readyz")

    def mark() -> Any:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                return connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            return connection.exec_driver_sql("SELECT xmin::text FROM alembic_version").scalar_one()

    before = mark()
    client.get("/readyz")
    assert mark() != before


@pytest.fixture
def small_home(
    populated_template: pathlib.Path, keyring: dict[str, str], tmp_path: pathlib.Path
) -> Iterator[tuple[pathlib.Path, flask.Flask, Client]]:
    """Yield a home with data on a disk that a test may fill, its API, and a client."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(disks.small(tmp_path / "small", kibibytes=32 * 1024)) / "home"
        shutil.copytree(populated_template, home)
        stack.enter_context(at_home(home))
        app = stack.enter_context(opened())
        yield home, app, client_of(app, keyring["admin"])


def test_a_full_disk_is_503_at_every_door_and_names_what_is_not_ready(
    small_home: tuple[pathlib.Path, flask.Flask, Client],
) -> None:
    home, app, client = small_home
    parts_of(app).probes.fresh_seconds = 0
    assert client.get("/readyz").get_json()["status"] == "ready"
    queued, ended = (
        client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"] for _ in range(2)
    )
    client.post(f"/v1/jobs/{ended}/cancel")
    with disks.filled(home):
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert ready.get_json()["reasons"]["storage"] == "has no room left"
        upload = client.post("/v1/datasets/large", data=b"a\n" * 100_000, content_type="text/csv")
        assert "has no room left" in problem_of(upload, 503)["detail"]
        assert int(upload.headers["Retry-After"]) >= 1
        for method, path, options in doors(queued, ended):
            # A small write may still fit into the room that a database's log already has.
            response = client.open(path, method=method, **options)
            assert response.status_code < 500 or problem_of(response, 503), (method, path)
    assert reasons_of(client) == {}
    sample_data.done(client, client.post("/v1/datasets/later", **CSV))


def test_a_database_that_may_not_grow_is_503(app: flask.Flask, client: Client) -> None:
    def limit(connection: Any, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    engines = engines_of(app, "training")
    for engine in engines:
        sa.event.listen(engine, "checkout", limit)
    large = {"kind": "training.ping", "params": {}, "tags": ["x" * 60 + str(number) for number in range(20)]}
    answers = [client.post("/v1/jobs", json=large) for _ in range(100)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    for answer in refused:
        assert "has no room left" in problem_of(answer, 503)["detail"]
    for engine in engines:
        sa.event.remove(engine, "checkout", limit)
        engine.dispose()
    assert client.post("/v1/jobs", json=large).status_code == 202
