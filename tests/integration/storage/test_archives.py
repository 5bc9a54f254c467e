"""Export and import through REST: what is packed, taken in, and refused."""

import hashlib
import io
import pathlib
import shutil
import tarfile

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared import database, roles
from shared.catalog import api_tables, datasets
from shared.objects import local
from shared.processing.tables import feature_versions
from shared.storage.tables import archives
from shared.training.tables import model_versions
from tests.integration import sample_data, worker
from tests.integration.steps import at_home, client_of, opened, problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


def test_a_dataset_that_was_deleted_comes_back_from_its_archive(client: Client) -> None:
    before = client.get("/v1/datasets/things/versions/2").get_json()
    archive = stock.packed(client, what="dataset", name="things", version=2)
    client.delete("/v1/datasets/things/versions/2")
    ended = sample_data.done(client, stock.take_in(client, archive))
    (version,) = ended["result"]["versions"]
    assert version == {"name": "things", "was": 2, "version": 4, "sha256": before["sha256"], "created": True}
    after = client.get("/v1/datasets/things/versions/4").get_json()
    for name in ("sha256", "rows", "columns", "profile", "notes", "bytes"):
        assert after[name] == before[name]
    assert after["lineage"]["source"]["sha256"] == hashlib.sha256(archive).hexdigest()
    rows = client.get("/v1/datasets/things/versions/4/rows").get_json()["rows"]
    assert len(rows) == 20


def test_a_model_comes_back_and_predicts_the_same(client: Client) -> None:
    archive = stock.packed(client, what="model", name="greatness", version=2)
    before = client.get("/v1/models/greatness/versions/2").get_json()
    stock.forget("training", model_versions, deleted_at=1)
    sample_data.done(client, stock.take_in(client, archive))
    after = client.get("/v1/models/greatness/versions/3").get_json()
    for name in ("sha256", "metrics", "signature", "estimator", "recipe", "libraries"):
        assert after[name] == before[name]
    order = {"model": "greatness@latest", "dataset": "things@1"}
    assert sample_data.done(client, client.post("/v1/predictions", json=order))["result"]["dataset"]["rows"] == 40


def test_a_whole_tenant_goes_to_another_system_with_the_same_key(
    template: tuple[pathlib.Path, dict[str, str]], stocked_template: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shared = {"ARCHIVE_KEY": "a-secret-of-two-systems"}
    for name, source in (("one", stocked_template), ("two", template[0])):
        shutil.copytree(source, tmp_path / name)
    with at_home(tmp_path / "one", **shared), opened() as app:
        archive = stock.packed(client_of(app, template[1]["admin"]), what="tenant")
    with at_home(tmp_path / "two", **shared), opened() as app:
        client = client_of(app, template[1]["admin"])
        stock.restore(client, archive)
        assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 3
        order = {"model": "greatness@2", "dataset": "things@3"}
        sample_data.done(client, client.post("/v1/predictions", json=order))
        stock.use_features(client, "shape@1")
    with at_home(tmp_path / "two"), opened() as app:
        problem = problem_of(stock.take_in(client_of(app, template[1]["admin"]), archive), 422)
        assert "not signed with this system's key" in problem["detail"]


def test_a_feature_set_comes_back_with_the_data_that_it_was_fitted_on(client: Client, store: local.LocalStore) -> None:
    before = client.get("/v1/features/shape/versions/1").get_json()
    data = stock.key_of("ingestion", datasets.VERSIONS, "things", 1)
    client.delete("/v1/datasets/things/versions/1")
    exported = stock.do(client, "export", {"what": "features", "name": "shape"})["archive"]
    assert [(one["type"], one["name"]) for one in exported["items"]] == [("features", "shape")]
    archive = client.get(f"/v1/storage/archives/{exported['id']}/content").data
    stock.forget("processing", feature_versions, deleted_at=1)
    store.remove(data)
    ended = sample_data.done(client, stock.take_in(client, archive))
    assert [(one["version"], one["created"]) for one in ended["result"]["versions"]] == [(2, True)]
    after = client.get("/v1/features/shape/versions/2").get_json()
    for name in ("sha256", "recipe", "columns", "target", "notes", "bytes"):
        assert after[name] == before[name]
    assert after["lineage"]["original"] == before["lineage"]
    stock.use_features(client, "shape@2")
    again = sample_data.done(client, stock.take_in(client, archive))
    assert [(one["version"], one["created"]) for one in again["result"]["versions"]] == [(2, False)]
    stock.age(store)
    stock.prune(client)
    stock.use_features(client, "shape@2")


def test_an_archive_holds_what_feature_sets_were_fitted_on_once(client: Client) -> None:
    sample_data.done(client, client.post(*sample_data.ORDERS[0][:1], json=sample_data.ORDERS[0][1]))
    sha256 = client.get("/v1/datasets/things/versions/1").get_json()["sha256"]
    for what in ({"what": "features", "name": "shape"}, {"what": "tenant"}):
        with tarfile.open(fileobj=io.BytesIO(stock.packed(client, **what))) as tar:
            names = [name for name in tar.getnames() if name.startswith("objects/")]
            contents = [member.read() for name in names if (member := tar.extractfile(name))]
        assert [hashlib.sha256(content).hexdigest() for content in contents].count(sha256) == 1


def test_what_is_there_already_is_not_made_again(client: Client) -> None:
    archive = stock.packed(client, what="dataset", name="things")
    ended = sample_data.done(client, stock.take_in(client, archive))
    assert [(one["version"], one["created"]) for one in ended["result"]["versions"]] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 3


def test_an_import_sent_twice_under_one_key_is_one(client: Client, store: local.LocalStore) -> None:
    archive = stock.packed(client, what="dataset", name="things", version=1)
    before = stock.keys(store)
    sent = {"data": archive, "content_type": "application/x-tar", "headers": {"Idempotency-Key": '"once"'}}
    first, second = (client.post("/v1/storage/import", **sent) for _ in range(2))
    assert first.get_json()["id"] == second.get_json()["id"]
    assert len(stock.keys(store) - before) == 1


def test_an_archive_is_held_until_it_is_deleted(client: Client, store: local.LocalStore) -> None:
    stock.packed(client, what="model", name="greatness")
    (shown,) = client.get("/v1/storage/archives").get_json()["archives"]
    assert client.get(f"/v1/storage/archives/{shown['id']}").get_json() == shown
    stock.age(store)
    stock.prune(client)
    (key,) = (key for key in stock.keys(store) if key.endswith("archive.tar"))
    assert client.delete(f"/v1/storage/archives/{shown['id']}").status_code == 204
    problem_of(client.get(f"/v1/storage/archives/{shown['id']}"), 404)
    with database.of_process()["storage"].transactions.begin() as connection:
        connection.execute(sa.update(archives).values(deleted_at=1))
    assert key in stock.prune(client)["deleted"]


def test_an_archive_of_what_is_not_there_is_refused(client: Client) -> None:
    problem_of(client.post("/v1/storage/export", json={"what": "model", "name": "nobody"}), 422)
    problem_of(client.post("/v1/storage/export", json={"what": "tenant", "name": "things"}), 422)
    problem_of(client.post("/v1/storage/export", json={"what": "dataset"}), 422)


def test_an_object_that_was_changed_is_not_packed(client: Client, store: local.LocalStore) -> None:
    path = store.path_of(stock.key_of("ingestion", datasets.VERSIONS, "things", 1))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    job = client.post("/v1/storage/export", json={"what": "dataset", "name": "things"}).get_json()
    assert worker.perform(job) == "PermanentError"
    assert client.get("/v1/storage/archives").get_json()["archives"] == []


def test_a_strangers_archive_and_a_changed_one_are_refused(
    app: flask.Flask, client: Client, keyring: dict[str, str], store: local.LocalStore
) -> None:
    archive = stock.packed(client, what="dataset", name="things", version=1)
    before = stock.keys(store)
    stranger = client_of(app, keyring["stranger"])
    assert "not signed" in problem_of(stock.take_in(stranger, archive), 422)["detail"]
    assert stock.keys(store) == before, "what is refused is not kept"
    problem_of(
        stranger.get(f"/v1/storage/archives/{stock.do(client, 'export', {'what': 'tenant'})['archive']['id']}"), 404
    )
    forged = archive.replace(b'"tenant":"default"', b'"tenant":"another"')
    problem_of(stock.take_in(stranger, forged), 422)


def test_an_archive_of_a_tenant_is_no_other_tenants_though_the_key_is_the_same(
    template: tuple[pathlib.Path, dict[str, str]], stocked_template: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(stocked_template, tmp_path / "one")
    with at_home(tmp_path / "one", ARCHIVE_KEY="a-secret"), opened() as app:
        archive = stock.packed(client_of(app, template[1]["admin"]), what="dataset", name="things")
        problem = problem_of(stock.take_in(client_of(app, template[1]["stranger"]), archive), 422)
        assert "belongs to the tenant 'default', not 'another'" in problem["detail"]


@pytest.mark.parametrize("at", ["items/0.json", "objects/0"])
def test_an_archive_changed_behind_its_head_adopts_nothing(client: Client, at: str) -> None:
    archive = bytearray(stock.packed(client, what="dataset", name="things", version=1))
    client.delete("/v1/datasets/things/versions/1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        archive[tar.getmember(at).offset_data + 40] ^= 1
    accepted = stock.take_in(client, bytes(archive))
    assert worker.perform(accepted.get_json()) == "UnsafeArtifactError"
    assert len(client.get("/v1/datasets/things").get_json()["versions"]) == 2


@pytest.mark.parametrize("kind", stock.ADOPTERS)
def test_no_client_submits_what_only_the_api_may(client: Client, kind: str) -> None:
    problem_of(client.post("/v1/jobs", json={"kind": kind, "params": {"sha256": "0" * 64}}), 422)


def test_only_a_tar_is_taken(client: Client) -> None:
    problem_of(client.post("/v1/storage/import", json={}), 415)
    gzipped = {"content_type": "application/x-tar", "headers": {"Content-Encoding": "gzip"}}
    problem = problem_of(client.post("/v1/storage/import", data=b"x", **gzipped), 415)
    assert problem["detail"].startswith("Content-Encoding is 'gzip'")
    problem_of(stock.take_in(client, b"no tar at all"), 422)
    assert "send the archive's bytes" in problem_of(stock.take_in(client, b""), 400)["detail"]


def test_a_dataset_goes_back_to_the_role_that_kept_it_and_to_no_other(client: Client) -> None:
    sample_data.done(client, client.post("/v1/features/shape/apply", json={"dataset": "things@1", "name": "shaped"}))
    archive = stock.packed(client, what="dataset", name="shaped")
    client.delete("/v1/datasets/shaped/versions/1")
    stock.restore(client, archive)
    assert client.get("/v1/datasets/shaped/versions/2").get_json()["role"] == "processing"
    client.delete("/v1/datasets/shaped/versions/2")
    stock.forget(roles.API, api_tables.dataset_names, asked_at=1)
    sample_data.load(client, "shaped")
    problem_of(stock.take_in(client, archive), 409)


def test_a_name_that_an_earlier_release_made_too_long_is_packed_and_taken_in(client: Client) -> None:
    long = f"{'a' * 63}-predictions"
    for table in (datasets.VERSIONS, datasets.HEADS):
        stock.forget("ingestion", table, name=long)
    assert stock.packed(client, what="dataset", name=long)
    archive = stock.packed(client, what="tenant")
    stock.forget("ingestion", datasets.VERSIONS, deleted_at=1)
    stock.restore(client, archive)
    with database.of_process()["ingestion"].statements.connect() as connection:
        table = datasets.VERSIONS
        query = sa.select(table.c.version).where(table.c.name == long, table.c.deleted_at.is_(None))
        assert sorted(connection.execute(query).scalars()) == [4, 5, 6]
