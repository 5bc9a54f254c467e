"""Verifying the store through REST: what is missing, damaged or orphaned is named."""

from typing import Any

import flask
import flask.testing
import pytest

from shared.catalog import datasets
from shared.objects import local
from shared.training.tables import model_versions
from tests.integration.steps import problem_of
from tests.integration.storage import stock

Client = flask.testing.FlaskClient


def test_a_sound_store_is_found_sound(client: Client, store: local.LocalStore) -> None:
    stock.age(store)
    found = stock.do(client, "verify")
    assert found["sound"] == found["objects"] > 6
    assert (found["missing"], found["damaged"]) == ([], [])
    assert all("/uploads/" in key for key in found["orphaned"])
    assert found["orphaned_count"] == 3, "three loads are done with their uploads"


def test_what_is_missing_damaged_and_orphaned_is_named(client: Client, store: local.LocalStore) -> None:
    gone, changed = (stock.key_of("ingestion", datasets.VERSIONS, "things", version) for version in (1, 2))
    cut = stock.key_of("training", model_versions, "greatness", 1)
    store.remove(gone)
    words = bytearray(store.path_of(changed).read_bytes())
    words[100] ^= 1
    store.path_of(changed).write_bytes(words)
    store.path_of(cut).write_bytes(b"")
    orphan = stock.put(store, "default/training/training_01/1/model.skops")
    stock.age(store)
    stock.put(store, "default/training/training_01/2/fresh")
    found = stock.do(client, "verify")
    assert [(one["key"], one["of"]) for one in found["missing"]] == [(gone, "dataset things@1")]
    assert {one["key"]: one["of"] for one in found["damaged"]} == {
        changed: "dataset things@2",
        cut: "model greatness@1",
    }
    assert orphan in found["orphaned"]
    assert "default/training/training_01/2/fresh" not in found["orphaned"]
    assert found["sound"] == found["objects"] - 3


def test_foreign_files_are_named_and_no_orphans(client: Client, store: local.LocalStore) -> None:
    stock.age(store)
    stock.put_foreign(store, "default/.hidden")
    found = stock.do(client, "verify")
    assert (found["foreign_count"], found["foreign"]) == (1, ["default/.hidden"])
    assert "default/.hidden" not in found["orphaned"]


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (422, {"json": {"names": ["things"]}}),
        (422, {"json": []}),
        (400, {"data": b"{{{", "content_type": "application/json"}),
        (415, {"data": b"{}", "content_type": "text/plain"}),
    ],
)
def test_a_body_that_says_what_verify_does_not_know_is_refused(
    client: Client, status: int, sent: dict[str, Any]
) -> None:
    problem_of(client.post("/v1/storage/verify", **sent), status)


@pytest.mark.parametrize("sent", [{}, {"json": {}}, {"content_type": "application/json"}])
def test_verify_needs_no_body(client: Client, sent: dict[str, Any]) -> None:
    assert client.post("/v1/storage/verify", **sent).status_code == 202
