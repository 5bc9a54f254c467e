"""What is published and pushed reaches the manifest whole, on both databases, and later publications hold."""

import pathlib
import types
from typing import Any, cast

import pytest
import sqlalchemy as sa

from api.intake.serving import pushed_rows
from shared import contract, database, errors, ids
from shared.jobs import ledger
from shared.objects import local, store
from shared.objects.lookups import keys
from shared.prediction import overlays
from shared.processing import tables
from shared.processing.pushes import PushRows
from sweeper.published_features import PublishedFeatures
from workers.job import Job
from workers.processing import store as processing_store
from workers.processing.publish import Published

OWN = [tables.feature_versions, tables.feature_publications, tables.pushed_rows]
KEY = [contract.Column(name="id", type="integer")]
COLUMNS = [contract.Column(name="age", type="number"), contract.Column(name="note", type="string")]
SERVED = [
    types.SimpleNamespace(tenant_id="acme", state={"lookup": {"features": "person@1", "keyed_by": keys.mark(["id"])}})
]
FEATURES = contract.FeaturesPin(
    name="person",
    version=1,
    key="k",
    sha256="0" * 64,
    recipe={},
    dataset=contract.DatasetPin(name="d", version=1, key="d", sha256="0" * 64, rows=0, bytes=0, columns=[]),
)
Entry = dict[str, Any]


@pytest.fixture
def processing(engines: database.Engines) -> database.Engines:
    tables.metadata.create_all(engines.transactions, tables=OWN)
    version = {"tenant_id": "acme", "name": "person", "version": 1, "job_id": "j", "created_by": "k", "created_at": 0}
    version |= {"key": "k", "sha256": "0" * 64, "bytes": 1, "tags": [], "recipe": {}, "columns": [], "dataset": {}}
    with engines.transactions.begin() as connection:
        for table in OWN:
            connection.execute(sa.delete(table))
        connection.execute(sa.insert(tables.feature_versions).values(**version, notes=[], lineage={}))
    return engines


@pytest.fixture
def objects(tmp_path: pathlib.Path) -> store.Store:
    return local.LocalStore(tmp_path / "objects")


def accept(engines: database.Engines) -> Job:
    job = ledger.NewJob(
        id=ids.new_job_id("processing"),
        tenant_id="acme",
        kind="processing.publish",
        params={},
        pinned={},
        submitted_by="key_1",
        tries_left=3,
    )
    with engines.transactions.begin() as connection:
        ledger.accept(connection, [job], ring_again_seconds=30)
    return cast(Job, types.SimpleNamespace(id=job.id, tenant_id="acme"))


def publish(engines: database.Engines, job: Job, *, key: str) -> list[str]:
    table = Published(KEY, COLUMNS, rows=2, bytes=10, sha256=key * 64, notes=[])
    with engines.transactions.begin() as connection:
        return processing_store.add_publication(connection, job, FEATURES, table, key=key, dataset="d@1")


def push(engines: database.Engines, *rows: dict[str, Any]) -> int:
    databases = cast(database.Databases, {"processing": engines})
    number: int = pushed_rows.push(databases, "acme", "person", PushRows(rows=list(rows)))["push"]
    return number


def read(engines: database.Engines, objects: store.Store, known: Entry | None = None) -> Entry:
    databases = cast(database.Databases, {"processing": engines})
    [entry] = PublishedFeatures(databases, objects).read(SERVED, {} if known is None else {name_of(): known}).values()
    return entry


def name_of() -> str:
    return f"acme/person@1/{keys.mark(['id'])}"


def list_values(objects: store.Store, entry: Entry) -> dict[bytes, dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for overlay in entry["overlays"]:
        found |= {key_hash: values for key_hash, (_, values) in overlays.read(objects, overlay["key"]).items()}
    return found


def test_pushes_are_merged_and_shipped_and_end_with_the_next_publication(
    processing: database.Engines, objects: store.Store
) -> None:
    earlier, later = accept(processing), accept(processing)
    assert publish(processing, later, key="b") == []
    assert push(processing, {"id": 1, "age": 3}, {"id": "2", "note": "new"}) == 1
    first = read(processing, objects)
    assert (first["key"], first["push"], len(first["overlays"])) == ("b", 1, 1)
    assert push(processing, {"id": 1, "note": None}, {"id": 1, "age": 0.5}) == 2
    second = read(processing, objects, first)
    one, two = (keys.hash_parts([text]) for text in ("1", "2"))
    assert list_values(objects, second) == {one: {"age": 0.5, "note": None}, two: {"note": "new"}}
    assert read(processing, objects, second) == second
    assert list_values(objects, read(processing, objects)) == list_values(objects, second)
    # It was accepted before the one that has published, so what it read may be older.
    assert "accepted later" in publish(processing, earlier, key="a")[0]
    assert read(processing, objects, second) == second
    with processing.transactions.begin() as connection:
        connection.execute(sa.update(tables.pushed_rows).values(pushed_at=1))
    assert publish(processing, accept(processing), key="c") == []
    third = read(processing, objects, second)
    assert (third["key"], third["push"], third["overlays"]) == ("c", 2, [])


def test_a_push_is_refused_where_too_many_keys_would_have_values(
    processing: database.Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(processing, accept(processing), key="a")
    monkeypatch.setattr(pushed_rows, "MAX_PUSHED", 2)
    push(processing, {"id": 1, "age": 3}, {"id": 2, "age": 3})
    push(processing, {"id": 1, "age": 4})
    with pytest.raises(errors.ConflictError, match="publish the features again"):
        push(processing, {"id": 3, "age": 3})
    assert push(processing, {"id": 2, "age": 4}) == 3
