"""What tests of the object store do to a stocked home."""

import hashlib
import os
import pathlib
from typing import Any

import flask
import flask.testing
import sqlalchemy as sa

from shared import database
from shared.catalog import datasets, kept_tables
from shared.objects import local
from shared.objects.store import Store
from tests.integration import sample_data, worker

Client = flask.testing.FlaskClient
ADOPTERS = [kind for thing in kept_tables.TYPES.values() for kind in thing.adopters.values()]
"""The kinds of job by which roles take versions in from an archive."""
LONG_AGO = 1_000_000_000
"""Seconds since 1970: older than every grace."""


def keys(store: Store) -> set[str]:
    """Name all objects."""
    return {found.key for found in store.list() if not found.is_foreign}


def age(store: local.LocalStore) -> None:
    """Let all objects be old."""
    for key in keys(store):
        os.utime(store.path_of(key), (LONG_AGO, LONG_AGO))


def put(store: Store, key: str, words: bytes = b"words") -> str:
    """Write an object."""
    with store.write(key) as file:
        file.write(words)
    return key


def put_foreign(store: local.LocalStore, *names: str | bytes) -> list[pathlib.Path]:
    """Write old files that are no objects into the store's folder."""
    root = store.path_of("default").parent
    paths = [root / os.fsdecode(name) for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"foreign")
        os.utime(path, (LONG_AGO, LONG_AGO))
    return paths


def do(client: Client, path: str, body: Any = None) -> dict[str, Any]:
    """Do a job of the storage role, and give its result."""
    sent = {} if body is None else {"json": body}
    ended = sample_data.done(client, client.post(f"/v1/storage/{path}", **sent))
    result: dict[str, Any] = ended["result"]
    return result


def prune(client: Client, **rule: Any) -> dict[str, Any]:
    """Prune in earnest, with the least grace."""
    return do(client, "prune", {"dry_run": False, "grace_hours": 1, **rule})


def forget(role: str, table: sa.Table, **changes: Any) -> None:
    """Change all versions behind everybody's back, mostly to let time pass."""
    with database.of_process()[role].transactions.begin() as connection:
        connection.execute(sa.update(table).values(**changes))


def key_of(role: str, table: sa.Table, name: str, version: int) -> str:
    """Return the key of a version's object."""
    with database.of_process()[role].statements.connect() as connection:
        query = sa.select(table.c.key).where(table.c.name == name, table.c.version == version)
        return str(connection.execute(query).scalar_one())


def forget_deleted(role: str) -> None:
    """Let what was deleted have been so for long."""
    table = datasets.VERSIONS
    with database.of_process()[role].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.deleted_at.isnot(None)).values(deleted_at=1))


def packed(client: Client, **what: Any) -> bytes:
    """Pack an archive, and give its bytes."""
    archive = do(client, "export", what)["archive"]
    answer = client.get(f"/v1/storage/archives/{archive['id']}/content")
    assert answer.status_code == 200
    assert hashlib.sha256(answer.data).hexdigest() == archive["sha256"]
    assert len(answer.data) == archive["bytes"]
    return bytes(answer.data)


def take_in(client: Client, archive: bytes) -> Any:
    """Send an archive."""
    return client.post("/v1/storage/import", data=archive, content_type="application/x-tar")


def restore(client: Client, archive: bytes) -> None:
    """Send an archive, and do the jobs that take in what it holds."""
    accepted = take_in(client, archive)
    assert accepted.status_code == 202, accepted.text
    links = accepted.get_json()["links"]
    for link in {links["self"], *(link for name, link in links.items() if name in ADOPTERS)}:
        assert worker.perform(client.get(link).get_json()) is None


def use_features(client: Client, features: str) -> None:
    """Apply a feature set, and train on the data that it was fitted on."""
    name, _, version = features.partition("@")
    order = {"dataset": "things@latest", "version": int(version), "name": "applied"}
    sample_data.done(client, client.post(f"/v1/features/{name}/apply", json=order))
    training = {key: value for key, value in sample_data.TRAINING.items() if key != "dataset"}
    sample_data.done(client, client.post("/v1/models/shaped", json={**training, "features": features}))
