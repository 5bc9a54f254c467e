"""Pruning through REST: what goes, and what must never be touched."""

import os
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api.intake import retention
from shared import database, ids
from shared.catalog import datasets
from shared.jobs import tables
from shared.objects import local
from shared.training.tables import model_versions
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


def test_a_dry_run_says_what_would_go_and_takes_nothing(client: Client, store: local.LocalStore) -> None:
    orphan = stock.put(store, "default/training/training_01/1/model.skops")
    stock.age(store)
    before = stock.keys(store)
    planned = stock.do(client, "prune", {"keep_last": 1})
    assert planned["dry_run"] is True
    assert orphan in planned["deleted"]
    labels = {(one["type"], one["name"], one["version"]) for one in planned["retired"]}
    assert ("dataset", "things", 2) in labels
    assert before <= stock.keys(store)
    assert client.get("/v1/datasets/things/versions/2").status_code == 200


def test_orphans_and_used_uploads_go_and_all_else_stays(client: Client, store: local.LocalStore) -> None:
    orphans = {
        stock.put(store, "default/training/training_01/1/model.skops"),
        stock.put(store, "default/training/training_01/1/big.writing"),
        stock.put(store, f"default/uploads/{ids.new_ulid()}"),
    }
    uploads = {key for key in stock.keys(store) if "/uploads/" in key}
    stock.age(store)
    stranger = stock.put(store, "another/training/training_01/1/model.skops")
    os.utime(store.path_of(stranger), (stock.LONG_AGO, stock.LONG_AGO))
    before = stock.keys(store)
    done = stock.prune(client)
    assert before - stock.keys(store) == orphans | uploads
    assert set(done["deleted"]) == orphans | uploads
    assert done["deleted_count"] == len(orphans | uploads)
    assert stranger in stock.keys(store), "it is another tenant's"
    verified = stock.do(client, "verify")
    assert verified["sound"] == verified["objects"]


def test_a_fresh_object_waits_for_its_grace(client: Client, store: local.LocalStore) -> None:
    stock.age(store)
    fresh = stock.put(store, "default/training/training_01/1/model.skops")
    assert stock.prune(client)["waiting_count"] >= 1
    assert fresh in stock.keys(store)


def test_a_deleted_versions_object_goes_when_its_grace_is_over(client: Client, store: local.LocalStore) -> None:
    key = stock.key_of("ingestion", datasets.VERSIONS, "things", 2)
    assert client.delete("/v1/datasets/things/versions/2").status_code == 204
    stock.age(store)
    stock.prune(client)
    assert key in stock.keys(store), "somebody may have pinned it a moment ago"
    table = datasets.VERSIONS
    with database.of_process()["ingestion"].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.deleted_at.isnot(None)).values(deleted_at=1))
    assert key in stock.prune(client)["deleted"]
    assert key not in stock.keys(store)


def test_what_a_live_job_has_pinned_stays(client: Client, store: local.LocalStore) -> None:
    key = stock.key_of("ingestion", datasets.VERSIONS, "things", 2)
    client.post("/v1/predictions", json={"model": "greatness@1", "dataset": "things@2"})
    upload = client.post("/v1/datasets/other", data=sample_data.table(rows=5), content_type="text/csv").get_json()
    with database.of_process()["ingestion"].statements.connect() as connection:
        pinned = connection.execute(
            sa.select(tables.jobs.c.pinned).where(tables.jobs.c.id == upload["id"])
        ).scalar_one()
    client.delete("/v1/datasets/things/versions/2")
    stock.forget("ingestion", datasets.VERSIONS, deleted_at=1)
    stock.age(store)
    stock.prune(client)
    assert key in stock.keys(store)
    assert pinned["source.upload"]["key"] in stock.keys(store)
    assert stock.key_of("ingestion", datasets.VERSIONS, "things", 3) not in stock.keys(store)


def test_what_a_live_job_has_written_stays_until_it_has_ended(client: Client, store: local.LocalStore) -> None:
    job = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    written = stock.put(store, f"default/training/{job}/1/model.skops")
    stock.age(store)
    stock.prune(client)
    assert written in stock.keys(store)
    client.post(f"/v1/jobs/{job}/cancel")
    assert written in stock.prune(client)["deleted"]


def test_what_a_live_jobs_child_has_written_stays(client: Client, store: local.LocalStore) -> None:
    parent = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    child = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    jobs = tables.jobs
    with database.of_process()["training"].transactions.begin() as connection:
        changes = {"parent_id": parent, "state": "succeeded"}
        connection.execute(sa.update(jobs).where(jobs.c.id == child).values(**changes))
    written = stock.put(store, f"default/training/{child}/1/model.skops")
    stock.age(store)
    stock.prune(client)
    assert written in stock.keys(store)


def test_a_key_that_two_rows_point_at_stays_while_one_does(client: Client, store: local.LocalStore) -> None:
    key = stock.key_of("ingestion", datasets.VERSIONS, "things", 1)
    table = datasets.VERSIONS
    with database.of_process()["ingestion"].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.version == 2).values(key=key))
    client.delete("/v1/datasets/things/versions/1")
    stock.forget_deleted("ingestion")
    stock.age(store)
    stock.prune(client)
    assert key in stock.keys(store)


def test_a_feature_set_keeps_the_data_that_it_was_fitted_on(client: Client, store: local.LocalStore) -> None:
    key = stock.key_of("ingestion", datasets.VERSIONS, "things", 1)
    client.delete("/v1/datasets/things/versions/1")
    stock.forget_deleted("ingestion")
    stock.age(store)
    stock.prune(client)
    assert key in stock.keys(store)


def test_the_rule_retires_by_count_and_never_the_latest_aliased_or_pinned(client: Client) -> None:
    client.put("/v1/models/greatness/aliases/champion", json={"version": 1})
    retired = stock.prune(client, keep_last=1)["retired"]
    labels = {(one["type"], one["name"], one["version"]) for one in retired}
    assert labels == {("dataset", "things", 2)}, "things@1 is a feature set's, greatness@1 has an alias"
    problem_of(client.get("/v1/datasets/things/versions/2"), 404)
    for kept in ("datasets/things/versions/1", "datasets/things/versions/3", "models/greatness/versions/1"):
        assert client.get(f"/v1/{kept}").status_code == 200
    assert client.get("/v1/datasets/things").get_json()["versions"][0]["version"] == 3


def test_the_rule_retires_by_age_name_and_type(client: Client) -> None:
    assert stock.prune(client, older_than_days=1)["retired"] == []
    stock.forget("ingestion", datasets.VERSIONS, created_at=1)
    stock.forget("training", model_versions, created_at=1)
    assert stock.prune(client, older_than_days=1, names=["nothing"])["retired"] == []
    assert [one["type"] for one in stock.prune(client, older_than_days=1, types=["model"])["retired"]] == ["model"]
    assert stock.prune(client, older_than_days=1, keep_last=3)["retired"] == []
    assert [one["version"] for one in stock.prune(client, older_than_days=1, keep_last=1)["retired"]] == [2]


def test_no_rule_retires_nothing(client: Client) -> None:
    stock.forget("ingestion", datasets.VERSIONS, created_at=1)
    assert stock.prune(client)["retired"] == []


@pytest.mark.parametrize(
    "body",
    [{"grace_hours": 0.5}, {"keep_last": 0}, {"older_than_days": -1}, {"holdings": "then"}, {"names": ["../x"]}],
)
def test_a_rule_that_is_none_is_refused(client: Client, body: dict[str, Any]) -> None:
    problem_of(client.post("/v1/storage/prune", json=body), 422)


ONCE = {"Idempotency-Key": '"once"'}


def test_a_prune_that_is_refused_retires_nothing(client: Client) -> None:
    assert client.post("/v1/storage/prune", json={"dry_run": False}, headers=ONCE).status_code == 202
    problem_of(client.post("/v1/storage/prune", json={"dry_run": False, "keep_last": 1}, headers=ONCE), 422)
    assert client.get("/v1/datasets/things/versions/2").status_code == 200


def test_a_prune_that_is_repeated_retires_nothing_more(client: Client) -> None:
    sent = {"json": {"dry_run": False, "keep_last": 1}, "headers": ONCE}
    first = client.post("/v1/storage/prune", **sent)
    problem_of(client.get("/v1/datasets/things/versions/2"), 404)
    sample_data.load(client, "things")
    assert client.post("/v1/storage/prune", **sent).get_json()["id"] == first.get_json()["id"]
    assert client.get("/v1/datasets/things/versions/3").status_code == 200


def test_prunes_of_a_batch_retire_when_all_of_it_is_accepted(client: Client) -> None:
    job = {"kind": "storage.prune", "params": {"dry_run": False, "keep_last": 1}}
    bad = {"kind": "evaluation.score", "params": {"model": "nobody@1", "dataset": "things@1"}}
    problem_of(client.post("/v1/jobs/batch", json={"jobs": [job, bad]}), 422)
    assert client.get("/v1/datasets/things/versions/2").status_code == 200
    assert client.post("/v1/jobs/batch", json={"jobs": [job]}).status_code == 202
    problem_of(client.get("/v1/datasets/things/versions/2"), 404)


def test_a_prune_that_can_not_retire_is_cancelled(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("gone"))

    monkeypatch.setattr(retention, "mark_deleted", fail)
    problem_of(client.post("/v1/storage/prune", json={"dry_run": False, "keep_last": 1}), 503)
    (job,) = client.get("/v1/jobs?kind=storage.prune").get_json()["jobs"]
    assert job["state"] == "cancelled"


def test_an_inventory_that_is_changed_deletes_nothing(client: Client, store: local.LocalStore) -> None:
    stock.age(store)
    job = client.post("/v1/storage/prune", json={"dry_run": False}).get_json()
    (key,) = (key for key in stock.keys(store) if "/holdings/" in key)
    store.path_of(key).write_bytes(b"")
    before = stock.keys(store)
    assert worker.perform(job) == "PermanentError"
    assert stock.keys(store) == before


OF_OTHER_TENANTS = [
    "default/sub/training/training_01/1/model.skops",
    "default/sub/uploads/01HZZZZZZZZZZZZZZZZZZZZZZZ",
    "default/training/training/training_01/1/model.skops",
    "default/uploads/uploads/01HZZZZZZZZZZZZZZZZZZZZZZZ",
    "default/training/ingestion_01/ingestion/ingestion_01/1/data.parquet",
    "default-too/training/training_01/1/model.skops",
]


def test_objects_of_a_tenant_whose_name_begins_with_this_one_s_stay_and_are_not_named(
    client: Client, store: local.LocalStore
) -> None:
    for key in OF_OTHER_TENANTS:
        stock.put(store, key)
    stock.age(store)
    done = stock.prune(client)
    assert done["deleted_count"] > 0
    assert set(OF_OTHER_TENANTS) <= stock.keys(store)
    verified = stock.do(client, "verify")
    for key in OF_OTHER_TENANTS:
        assert key not in f"{done} {verified}"


FOREIGN: list[str | bytes] = [
    "default/.hidden",
    "default/foreign/sp ace é.txt",
    "default/training/.nfs0001",
    b"default/\xff",
]
NAMED = sorted(["default/.hidden", "default/foreign/sp ace é.txt", "default/training/.nfs0001", "default/\\xff"])


@pytest.mark.parametrize("dry_run", [True, False])
def test_foreign_files_are_left_alone_and_named(client: Client, store: local.LocalStore, dry_run: bool) -> None:
    orphan = stock.put(store, "default/training/training_01/1/model.skops")
    stock.age(store)
    paths = stock.put_foreign(store, *FOREIGN)
    done = stock.prune(client, dry_run=dry_run)
    assert (done["foreign_count"], done["foreign"]) == (4, NAMED)
    assert orphan in done["deleted"]
    assert not set(NAMED) & set(done["deleted"])
    assert (orphan in stock.keys(store)) is dry_run
    assert all(path.exists() for path in paths)


def test_a_prune_that_fails_says_what_was_retired(
    client: Client, store: local.LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError("not yours")

    stock.put(store, "default/training/training_01/1/model.skops")
    stock.age(store)
    monkeypatch.setattr(local.LocalStore, "remove", fail)
    accepted = client.post("/v1/storage/prune", json={"dry_run": False, "keep_last": 1})
    assert worker.perform(accepted.get_json()) == "PermissionError"
    job = client.get(accepted.headers["Location"]).get_json()
    assert job["result"] is None
    labels = {(one["type"], one["name"], one["version"]) for one in job["interim"]["retired"]}
    assert ("dataset", "things", 2) in labels
    assert job["interim"]["retired_count"] == len(labels)
