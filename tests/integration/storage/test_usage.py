"""What the store holds, by tenant and kind."""

import flask
import flask.testing

from shared.catalog import datasets
from shared.objects import local
from tests.integration import sample_data
from tests.integration.steps import down
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


def test_usage_adds_up(client: Client, store: local.LocalStore) -> None:
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
        store.size(stock.key_of("ingestion", datasets.VERSIONS, "things", version)) or 0 for version in (2, 3)
    )


def test_usage_says_which_roles_it_could_not_ask(app: flask.Flask, client: Client) -> None:
    with down(app, "training"):
        assert client.get("/v1/storage/usage").get_json()["unavailable"] == ["training"]


def test_an_object_that_two_things_share_counts_once(client: Client) -> None:
    before = client.get("/v1/storage/usage").get_json()
    exported = client.post("/v1/models/greatness/versions/1/exports", json={"format": "skops"})
    sample_data.done(client, exported)
    assert client.get("/v1/storage/usage").get_json() == before


def test_an_object_that_a_deleted_version_shares_with_one_that_is_not_is_in_use(client: Client) -> None:
    key = stock.key_of("ingestion", datasets.VERSIONS, "things", 1)
    stock.forget("ingestion", datasets.VERSIONS, key=key)
    client.delete("/v1/datasets/things/versions/1")
    uses = client.get("/v1/storage/usage").get_json()["uses"]
    (things,) = (use for use in uses if (use["role"], use["kind"]) == ("ingestion", "dataset"))
    assert (things["objects"], things["deleted_objects"]) == (1, 0)


def test_a_foreign_file_is_no_upload(client: Client, store: local.LocalStore) -> None:
    before = client.get("/v1/storage/usage").get_json()
    stock.put_foreign(store, "default/uploads/.DS_Store")
    assert client.get("/v1/storage/usage").get_json() == before
