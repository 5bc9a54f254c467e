"""The object store through REST: what is verified, pruned, packed and taken in, and what must never be touched."""

import hashlib
import io
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterator
from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from api import door as doors
from api import keys as doorkeys
from migrations import __main__ as migrations
from shared import (
    adoption,
    database,
    datasets,
    door_tables,
    errors,
    ids,
    local_store,
    objects,
    retention,
    roles,
    tables,
)
from shared.processing import tables as processing
from shared.storage import tables as storage_tables
from shared.training import tables as training
from tests import servers_postgres
from tests.integration import furniture, worker
from tests.integration.steps import at_home, client_of, down, opened, problem_of

Client = flask.testing.FlaskClient
LONG_AGO = 1_000_000_000
"""Seconds since 1970: older than every grace."""
DAY_MS = 24 * 3600 * 1000


@pytest.fixture(scope="session")
def stocked_template(
    template: tuple[pathlib.Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """Make a home with three versions of a dataset, two of a model and a feature set, once."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    shutil.copytree(template[0], home)
    with at_home(home), opened() as app:
        client = client_of(app, template[1]["admin"])
        for rows in (40, 41, 42):
            furniture.load(client, "things", furniture.table(rows=rows))
        for path, order in furniture.ORDERS[:1] + [furniture.ORDERS[2]] * 2:
            furniture.done(client, client.post(path, json=order))
    return home


@pytest.fixture
def app(stocked_template: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[flask.Flask]:
    """Give a door to a stocked home."""
    shutil.copytree(stocked_template, tmp_path / "stocked")
    with at_home(tmp_path / "stocked"), opened() as app:
        yield app


@pytest.fixture
def client(app: flask.Flask, keyring: dict[str, str]) -> Client:
    """Give an administrator's client of the stocked home."""
    return client_of(app, keyring["admin"])


@pytest.fixture
def store(app: flask.Flask) -> local_store.LocalStore:
    """Give the stocked home's store."""
    door: doors.Door = app.extensions["door"]
    assert isinstance(door.store, local_store.LocalStore)
    return door.store


def keys(store: objects.Store) -> set[str]:
    """Name all objects."""
    return {found.key for found in store.list()}


def age(store: local_store.LocalStore) -> None:
    """Let all objects be old."""
    for key in keys(store):
        os.utime(store.path_of(key), (LONG_AGO, LONG_AGO))


def put(store: objects.Store, key: str, words: bytes = b"words") -> str:
    """Write an object."""
    with store.write(key) as file:
        file.write(words)
    return key


def do(client: Client, path: str, body: Any = None) -> dict[str, Any]:
    """Do a job of the storage role, and give its result."""
    sent = {} if body is None else {"json": body}
    ended = furniture.done(client, client.post(f"/v1/storage/{path}", **sent))
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
    """Give the key of a version's object."""
    with database.of_process()[role].statements.connect() as connection:
        query = sa.select(table.c.key).where(table.c.name == name, table.c.version == version)
        return str(connection.execute(query).scalar_one())


# Verify.


def test_a_sound_store_is_found_sound(client: Client, store: local_store.LocalStore) -> None:
    age(store)
    found = do(client, "verify")
    assert found["sound"] == found["objects"] > 6
    assert (found["missing"], found["damaged"]) == ([], [])
    assert all("/uploads/" in key for key in found["orphaned"])
    assert found["orphaned_count"] == 3, "three loads are done with their uploads"


def test_what_is_missing_damaged_and_orphaned_is_named(client: Client, store: local_store.LocalStore) -> None:
    gone, changed = (key_of("ingestion", datasets.VERSIONS, "things", version) for version in (1, 2))
    cut = key_of("training", training.model_versions, "greatness", 1)
    store.remove(gone)
    words = bytearray(store.path_of(changed).read_bytes())
    words[100] ^= 1
    store.path_of(changed).write_bytes(words)
    store.path_of(cut).write_bytes(b"")
    orphan = put(store, "default/training/training_01/1/model.skops")
    age(store)
    put(store, "default/training/training_01/2/fresh")
    found = do(client, "verify")
    assert [(one["key"], one["of"]) for one in found["missing"]] == [(gone, "dataset things@1")]
    assert {one["key"]: one["of"] for one in found["damaged"]} == {
        changed: "dataset things@2",
        cut: "model greatness@1",
    }
    assert orphan in found["orphaned"]
    assert "default/training/training_01/2/fresh" not in found["orphaned"]
    assert found["sound"] == found["objects"] - 3


def test_a_database_that_is_down_makes_the_door_answer_503(app: flask.Flask, client: Client) -> None:
    with down(app, "prediction"):
        for path, body in (("verify", None), ("prune", {}), ("export", {"what": "tenant"})):
            sent = {} if body is None else {"json": body}
            problem_of(client.post(f"/v1/storage/{path}", **sent), 503)


# Prune.


def test_a_dry_run_says_what_would_go_and_takes_nothing(client: Client, store: local_store.LocalStore) -> None:
    orphan = put(store, "default/training/training_01/1/model.skops")
    age(store)
    before = keys(store)
    planned = do(client, "prune", {"keep_last": 1})
    assert planned["dry_run"] is True
    assert orphan in planned["deleted"]
    labels = {(one["type"], one["name"], one["version"]) for one in planned["retired"]}
    assert ("dataset", "things", 2) in labels
    assert before <= keys(store)
    assert client.get("/v1/datasets/things/versions/2").status_code == 200


def test_orphans_and_used_uploads_go_and_all_else_stays(client: Client, store: local_store.LocalStore) -> None:
    orphans = {
        put(store, "default/training/training_01/1/model.skops"),
        put(store, "default/training/training_01/1/big.writing"),
        put(store, f"default/uploads/{ids.new_ulid()}"),
    }
    uploads = {key for key in keys(store) if "/uploads/" in key}
    age(store)
    stranger = put(store, "another/training/training_01/1/model.skops")
    os.utime(store.path_of(stranger), (LONG_AGO, LONG_AGO))
    before = keys(store)
    done = prune(client)
    assert before - keys(store) == orphans | uploads
    assert set(done["deleted"]) == orphans | uploads
    assert done["deleted_count"] == len(orphans | uploads)
    assert stranger in keys(store), "it is another tenant's"
    verified = do(client, "verify")
    assert verified["sound"] == verified["objects"]


def test_a_fresh_object_waits_for_its_grace(client: Client, store: local_store.LocalStore) -> None:
    age(store)
    fresh = put(store, "default/training/training_01/1/model.skops")
    assert prune(client)["waiting_count"] >= 1
    assert fresh in keys(store)


def test_a_deleted_versions_object_goes_when_its_grace_is_over(client: Client, store: local_store.LocalStore) -> None:
    key = key_of("ingestion", datasets.VERSIONS, "things", 2)
    assert client.delete("/v1/datasets/things/versions/2").status_code == 204
    age(store)
    prune(client)
    assert key in keys(store), "somebody may have pinned it a moment ago"
    table = datasets.VERSIONS
    with database.of_process()["ingestion"].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.deleted_at.isnot(None)).values(deleted_at=1))
    assert key in prune(client)["deleted"]
    assert key not in keys(store)


def test_what_a_live_job_has_pinned_stays(client: Client, store: local_store.LocalStore) -> None:
    key = key_of("ingestion", datasets.VERSIONS, "things", 2)
    client.post("/v1/predictions", json={"model": "greatness@1", "dataset": "things@2"})
    upload = client.post("/v1/datasets/other", data=furniture.table(rows=5), content_type="text/csv").get_json()
    with database.of_process()["ingestion"].statements.connect() as connection:
        pinned = connection.execute(
            sa.select(tables.jobs.c.pinned).where(tables.jobs.c.id == upload["id"])
        ).scalar_one()
    client.delete("/v1/datasets/things/versions/2")
    forget("ingestion", datasets.VERSIONS, deleted_at=1)
    age(store)
    prune(client)
    assert key in keys(store)
    assert pinned["source.upload"]["key"] in keys(store)
    assert key_of("ingestion", datasets.VERSIONS, "things", 3) not in keys(store)


def test_what_a_live_job_has_written_stays_until_it_has_ended(client: Client, store: local_store.LocalStore) -> None:
    job = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    written = put(store, f"default/training/{job}/1/model.skops")
    age(store)
    prune(client)
    assert written in keys(store)
    client.post(f"/v1/jobs/{job}/cancel")
    assert written in prune(client)["deleted"]


def test_what_a_live_jobs_child_has_written_stays(client: Client, store: local_store.LocalStore) -> None:
    parent = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    child = client.post("/v1/jobs", json={"kind": "training.ping", "params": {}}).get_json()["id"]
    jobs = tables.jobs
    with database.of_process()["training"].transactions.begin() as connection:
        changes = {"parent_id": parent, "state": "succeeded"}
        connection.execute(sa.update(jobs).where(jobs.c.id == child).values(**changes))
    written = put(store, f"default/training/{child}/1/model.skops")
    age(store)
    prune(client)
    assert written in keys(store)


def test_a_key_that_two_rows_point_at_stays_while_one_does(client: Client, store: local_store.LocalStore) -> None:
    key = key_of("ingestion", datasets.VERSIONS, "things", 1)
    table = datasets.VERSIONS
    with database.of_process()["ingestion"].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.version == 2).values(key=key))
    client.delete("/v1/datasets/things/versions/1")
    forget_deleted("ingestion")
    age(store)
    prune(client)
    assert key in keys(store)


def forget_deleted(role: str) -> None:
    """Let what was deleted have been so for long."""
    table = datasets.VERSIONS
    with database.of_process()[role].transactions.begin() as connection:
        connection.execute(sa.update(table).where(table.c.deleted_at.isnot(None)).values(deleted_at=1))


def test_a_feature_set_keeps_the_data_that_it_was_fitted_on(client: Client, store: local_store.LocalStore) -> None:
    key = key_of("ingestion", datasets.VERSIONS, "things", 1)
    client.delete("/v1/datasets/things/versions/1")
    forget_deleted("ingestion")
    age(store)
    prune(client)
    assert key in keys(store)


def test_the_rule_retires_by_count_and_never_the_latest_aliased_or_pinned(client: Client) -> None:
    client.put("/v1/models/greatness/aliases/champion", json={"version": 1})
    retired = prune(client, keep_last=1)["retired"]
    labels = {(one["type"], one["name"], one["version"]) for one in retired}
    assert labels == {("dataset", "things", 2)}, "things@1 is a feature set's, greatness@1 has an alias"
    problem_of(client.get("/v1/datasets/things/versions/2"), 404)
    for kept in ("datasets/things/versions/1", "datasets/things/versions/3", "models/greatness/versions/1"):
        assert client.get(f"/v1/{kept}").status_code == 200
    assert client.get("/v1/datasets/things").get_json()["versions"][0]["version"] == 3


def test_the_rule_retires_by_age_name_and_type(client: Client) -> None:
    assert prune(client, older_than_days=1)["retired"] == []
    forget("ingestion", datasets.VERSIONS, created_at=1)
    forget("training", training.model_versions, created_at=1)
    assert prune(client, older_than_days=1, names=["nothing"])["retired"] == []
    assert [one["type"] for one in prune(client, older_than_days=1, types=["model"])["retired"]] == ["model"]
    assert prune(client, older_than_days=1, keep_last=3)["retired"] == []
    assert [one["version"] for one in prune(client, older_than_days=1, keep_last=1)["retired"]] == [2]


def test_no_rule_retires_nothing(client: Client) -> None:
    forget("ingestion", datasets.VERSIONS, created_at=1)
    assert prune(client)["retired"] == []


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
    furniture.load(client, "things")
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

    monkeypatch.setattr(retention, "_mark", fail)
    problem_of(client.post("/v1/storage/prune", json={"dry_run": False, "keep_last": 1}), 503)
    (job,) = client.get("/v1/jobs?kind=storage.prune").get_json()["jobs"]
    assert job["state"] == "cancelled"


def test_an_inventory_that_is_changed_deletes_nothing(client: Client, store: local_store.LocalStore) -> None:
    age(store)
    job = client.post("/v1/storage/prune", json={"dry_run": False}).get_json()
    (key,) = (key for key in keys(store) if "/holdings/" in key)
    store.path_of(key).write_bytes(b"")
    before = keys(store)
    assert worker.perform(job) == "PermanentError"
    assert keys(store) == before


# Usage.


def test_usage_adds_up(client: Client, store: local_store.LocalStore) -> None:
    client.delete("/v1/datasets/things/versions/1")
    used = client.get("/v1/storage/usage").get_json()
    by_kind = {(use["role"], use["kind"]): use for use in used["uses"]}
    things = by_kind["ingestion", "dataset"]
    assert (things["objects"], things["deleted_objects"]) == (2, 1)
    assert by_kind["training", "model"]["objects"] == 2
    assert by_kind["processing", "features"]["objects"] == 1
    assert used["bytes"] == sum(use["bytes"] for use in used["uses"])
    assert used["uploads"] == 3
    assert used["unavailable"] == []
    assert things["bytes"] == sum(
        store.size(key_of("ingestion", datasets.VERSIONS, "things", version)) or 0 for version in (2, 3)
    )


def test_usage_says_which_roles_it_could_not_ask(app: flask.Flask, client: Client) -> None:
    with down(app, "training"):
        assert client.get("/v1/storage/usage").get_json()["unavailable"] == ["training"]


# Export and import.


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
    for link in {links["self"], *(link for name, link in links.items() if name in adoption.ADOPTERS)}:
        assert worker.perform(client.get(link).get_json()) is None


def test_a_dataset_that_was_deleted_comes_back_from_its_archive(client: Client) -> None:
    before = client.get("/v1/datasets/things/versions/2").get_json()
    archive = packed(client, what="dataset", name="things", version=2)
    client.delete("/v1/datasets/things/versions/2")
    ended = furniture.done(client, take_in(client, archive))
    (version,) = ended["result"]["versions"]
    assert version == {"name": "things", "was": 2, "version": 4, "sha256": before["sha256"], "created": True}
    after = client.get("/v1/datasets/things/versions/4").get_json()
    for name in ("sha256", "rows", "columns", "profile", "notes", "bytes"):
        assert after[name] == before[name]
    assert after["lineage"]["source"]["sha256"] == hashlib.sha256(archive).hexdigest()
    rows = client.get("/v1/datasets/things/versions/4/rows").get_json()["rows"]
    assert len(rows) == 20


def test_a_model_comes_back_and_predicts_the_same(client: Client) -> None:
    archive = packed(client, what="model", name="greatness", version=2)
    before = client.get("/v1/models/greatness/versions/2").get_json()
    forget("training", training.model_versions, deleted_at=1)
    furniture.done(client, take_in(client, archive))
    after = client.get("/v1/models/greatness/versions/3").get_json()
    for name in ("sha256", "metrics", "signature", "estimator", "recipe", "libraries"):
        assert after[name] == before[name]
    order = {"model": "greatness@latest", "dataset": "things@1"}
    assert furniture.done(client, client.post("/v1/predictions", json=order))["result"]["dataset"]["rows"] == 40


def test_a_whole_tenant_goes_to_another_system_with_the_same_key(
    template: tuple[pathlib.Path, dict[str, str]], stocked_template: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shared = {"ARCHIVE_KEY": "a-secret-of-two-systems"}
    for name, source in (("one", stocked_template), ("two", template[0])):
        shutil.copytree(source, tmp_path / name)
    with at_home(tmp_path / "one", **shared), opened() as app:
        archive = packed(client_of(app, template[1]["admin"]), what="tenant")
    with at_home(tmp_path / "two", **shared), opened() as app:
        client = client_of(app, template[1]["admin"])
        restore(client, archive)
        assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 3
        order = {"model": "greatness@2", "dataset": "things@3"}
        furniture.done(client, client.post("/v1/predictions", json=order))
        use_features(client, "shape@1")
    with at_home(tmp_path / "two"), opened() as app:
        problem = problem_of(take_in(client_of(app, template[1]["admin"]), archive), 422)
        assert "not signed with this system's key" in problem["detail"]


def use_features(client: Client, features: str) -> None:
    """Apply a feature set, and train on the data that it was fitted on."""
    name, _, version = features.partition("@")
    order = {"dataset": "things@latest", "version": int(version), "name": "applied"}
    furniture.done(client, client.post(f"/v1/features/{name}/apply", json=order))
    training = {key: value for key, value in furniture.TRAINING.items() if key != "dataset"}
    furniture.done(client, client.post("/v1/models/shaped", json={**training, "features": features}))


def test_a_feature_set_comes_back_with_the_data_that_it_was_fitted_on(
    client: Client, store: local_store.LocalStore
) -> None:
    before = client.get("/v1/features/shape/versions/1").get_json()
    data = key_of("ingestion", datasets.VERSIONS, "things", 1)
    client.delete("/v1/datasets/things/versions/1")
    exported = do(client, "export", {"what": "features", "name": "shape"})["archive"]
    assert [(one["type"], one["name"]) for one in exported["items"]] == [("features", "shape")]
    archive = client.get(f"/v1/storage/archives/{exported['id']}/content").data
    forget("processing", processing.feature_versions, deleted_at=1)
    store.remove(data)
    ended = furniture.done(client, take_in(client, archive))
    assert [(one["version"], one["created"]) for one in ended["result"]["versions"]] == [(2, True)]
    after = client.get("/v1/features/shape/versions/2").get_json()
    for name in ("sha256", "recipe", "columns", "notes", "bytes"):
        assert after[name] == before[name]
    assert after["lineage"]["original"] == before["lineage"]
    use_features(client, "shape@2")
    again = furniture.done(client, take_in(client, archive))
    assert [(one["version"], one["created"]) for one in again["result"]["versions"]] == [(2, False)]
    age(store)
    prune(client)
    use_features(client, "shape@2")


def test_an_archive_holds_what_feature_sets_were_fitted_on_once(client: Client) -> None:
    furniture.done(client, client.post(*furniture.ORDERS[0][:1], json=furniture.ORDERS[0][1]))
    sha256 = client.get("/v1/datasets/things/versions/1").get_json()["sha256"]
    for what in ({"what": "features", "name": "shape"}, {"what": "tenant"}):
        with tarfile.open(fileobj=io.BytesIO(packed(client, **what))) as tar:
            names = [name for name in tar.getnames() if name.startswith("objects/")]
            contents = [member.read() for name in names if (member := tar.extractfile(name))]
        assert [hashlib.sha256(content).hexdigest() for content in contents].count(sha256) == 1


def test_what_is_there_already_is_not_made_again(client: Client) -> None:
    archive = packed(client, what="dataset", name="things")
    ended = furniture.done(client, take_in(client, archive))
    assert [(one["version"], one["created"]) for one in ended["result"]["versions"]] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 3


def test_an_import_sent_twice_under_one_key_is_one(client: Client, store: local_store.LocalStore) -> None:
    archive = packed(client, what="dataset", name="things", version=1)
    before = keys(store)
    sent = {"data": archive, "content_type": "application/x-tar", "headers": {"Idempotency-Key": '"once"'}}
    first, second = (client.post("/v1/storage/import", **sent) for _ in range(2))
    assert first.get_json()["id"] == second.get_json()["id"]
    assert len(keys(store) - before) == 1


def test_an_archive_is_held_until_it_is_deleted(client: Client, store: local_store.LocalStore) -> None:
    packed(client, what="model", name="greatness")
    (shown,) = client.get("/v1/storage/archives").get_json()["archives"]
    assert client.get(f"/v1/storage/archives/{shown['id']}").get_json() == shown
    age(store)
    prune(client)
    (key,) = (key for key in keys(store) if key.endswith("archive.tar"))
    assert client.delete(f"/v1/storage/archives/{shown['id']}").status_code == 204
    problem_of(client.get(f"/v1/storage/archives/{shown['id']}"), 404)
    with database.of_process()["storage"].transactions.begin() as connection:
        connection.execute(sa.update(storage_tables.archives).values(deleted_at=1))
    assert key in prune(client)["deleted"]


def test_an_archive_of_what_is_not_there_is_refused(client: Client) -> None:
    problem_of(client.post("/v1/storage/export", json={"what": "model", "name": "nobody"}), 422)
    problem_of(client.post("/v1/storage/export", json={"what": "tenant", "name": "things"}), 422)
    problem_of(client.post("/v1/storage/export", json={"what": "dataset"}), 422)


def test_an_object_that_was_changed_is_not_packed(client: Client, store: local_store.LocalStore) -> None:
    path = store.path_of(key_of("ingestion", datasets.VERSIONS, "things", 1))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    job = client.post("/v1/storage/export", json={"what": "dataset", "name": "things"}).get_json()
    assert worker.perform(job) == "PermanentError"
    assert client.get("/v1/storage/archives").get_json()["archives"] == []


def test_a_strangers_archive_and_a_changed_one_are_refused(
    app: flask.Flask, client: Client, keyring: dict[str, str], store: local_store.LocalStore
) -> None:
    archive = packed(client, what="dataset", name="things", version=1)
    before = keys(store)
    stranger = client_of(app, keyring["stranger"])
    assert "not signed" in problem_of(take_in(stranger, archive), 422)["detail"]
    assert keys(store) == before, "what is refused is not kept"
    problem_of(stranger.get(f"/v1/storage/archives/{do(client, 'export', {'what': 'tenant'})['archive']['id']}"), 404)
    forged = archive.replace(b'"tenant":"default"', b'"tenant":"another"')
    problem_of(take_in(stranger, forged), 422)


def test_an_archive_of_a_tenant_is_no_other_tenants_though_the_key_is_the_same(
    template: tuple[pathlib.Path, dict[str, str]], stocked_template: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(stocked_template, tmp_path / "one")
    with at_home(tmp_path / "one", ARCHIVE_KEY="a-secret"), opened() as app:
        archive = packed(client_of(app, template[1]["admin"]), what="dataset", name="things")
        problem = problem_of(take_in(client_of(app, template[1]["stranger"]), archive), 422)
        assert "of the tenant 'default', not 'another'" in problem["detail"]


@pytest.mark.parametrize("at", ["items/0.json", "objects/0"])
def test_an_archive_changed_behind_its_head_adopts_nothing(client: Client, at: str) -> None:
    archive = bytearray(packed(client, what="dataset", name="things", version=1))
    client.delete("/v1/datasets/things/versions/1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        archive[tar.getmember(at).offset_data + 40] ^= 1
    accepted = take_in(client, bytes(archive))
    assert worker.perform(accepted.get_json()) == "UnsafeArtifactError"
    assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 2


@pytest.mark.parametrize("kind", adoption.ADOPTERS)
def test_no_client_submits_what_only_the_door_may(client: Client, kind: str) -> None:
    problem_of(client.post("/v1/jobs", json={"kind": kind, "params": {"sha256": "0" * 64}}), 422)


def test_only_a_tar_is_taken(client: Client) -> None:
    problem_of(client.post("/v1/storage/import", json={}), 415)
    gzipped = {"content_type": "application/x-tar", "headers": {"Content-Encoding": "gzip"}}
    problem_of(client.post("/v1/storage/import", data=b"x", **gzipped), 415)
    problem_of(take_in(client, b"no tar at all"), 422)
    assert "send the archive's bytes" in problem_of(take_in(client, b""), 400)["detail"]


def test_a_dataset_goes_back_to_the_role_that_kept_it_and_to_no_other(client: Client) -> None:
    furniture.done(client, client.post("/v1/features/shape/apply", json={"dataset": "things@1", "name": "shaped"}))
    archive = packed(client, what="dataset", name="shaped")
    client.delete("/v1/datasets/shaped/versions/1")
    restore(client, archive)
    assert client.get("/v1/datasets/shaped/versions/2").get_json()["role"] == "processing"
    client.delete("/v1/datasets/shaped/versions/2")
    forget(roles.DOOR, door_tables.dataset_names, asked_at=1)
    furniture.load(client, "shaped")
    problem_of(take_in(client, archive), 409)


def test_errors_of_the_store_are_the_doors_503(app: flask.Flask, client: Client, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise objects.StoreDownError

    door: doors.Door = app.extensions["door"]
    monkeypatch.setattr(type(door.store), "open_read", fail)
    problem = problem_of(client.get("/v1/datasets/things/versions/1/rows"), 503)
    assert "object store" in problem["detail"]
    assert issubclass(objects.StoreDownError, errors.UnavailableError)


@pytest.mark.servers
def test_the_storage_role_works_on_postgresql(
    postgres: servers_postgres.Postgres, template: tuple[pathlib.Path, dict[str, str]], tmp_path: pathlib.Path
) -> None:
    prefix = f"storage_{ids.new_ulid().lower()}"
    try:
        with at_home(tmp_path, DATABASE_URL=postgres.url(prefix + "_{role}")):
            assert migrations.main(["upgrade", "all"]) == 0
            key = doorkeys.Keys(database.of_process()).create("tests", scopes=["admin"])
            with opened() as app:
                _live_on_a_server(client_of(app, key))
    finally:
        postgres.drop_databases(prefix)


def _live_on_a_server(client: Client) -> None:
    for rows in (40, 41, 42):
        furniture.load(client, "things", furniture.table(rows=rows))
    for path, order in furniture.ORDERS[:1] + [furniture.ORDERS[2]] * 2:
        furniture.done(client, client.post(path, json=order))
    client.put("/v1/models/greatness/aliases/champion", json={"version": 1})
    verified = do(client, "verify")
    assert verified["sound"] == verified["objects"] == 7
    archive = packed(client, what="tenant")
    assert [one["version"] for one in prune(client, keep_last=1)["retired"]] == [2]
    restore(client, archive)
    assert client.get("/v1/datasets/things").get_json()["versions"][0]["version"] == 4
    used = client.get("/v1/storage/usage").get_json()
    assert used["unavailable"] == []
    assert {use["kind"]: use["deleted_objects"] for use in used["uses"] if use["role"] == "ingestion"} == {"dataset": 1}
    for path in ("archives", f"archives/{client.get('/v1/storage/archives').get_json()['archives'][0]['id']}"):
        assert client.get(f"/v1/storage/{path}").status_code == 200
