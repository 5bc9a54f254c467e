"""Versions of models and feature sets are deleted as those of datasets are; what an alias stands for is not."""

from typing import Any

import flask
import flask.testing
import pytest
import sqlalchemy as sa

from shared.jobs import tables
from shared.training.tables import model_exports
from tests.integration import sample_data, worker
from tests.integration.steps import client_of, parts_of, problem_of
from workers.training import export

Client = flask.testing.FlaskClient
MODEL = "/v1/models/greatness"
FEATURES = "/v1/features/shape"
PREDICTION = {"model": "greatness@1", "dataset": "things@1", "name": "more"}


@pytest.fixture
def twice(populated: Client) -> Client:
    """A client of a home with two versions of a model and of a feature set."""
    for path, order in (sample_data.ORDERS[0], sample_data.ORDERS[2]):
        sample_data.done(populated, populated.post(path, json=order))
    return populated


def events_of(app: flask.Flask, role: str) -> list[tuple[str, str]]:
    with parts_of(app).databases[role].statements.connect() as connection:
        rows = connection.execute(sa.select(tables.outbox.c.type, tables.outbox.c.subject)).all()
    return [(row.type, row.subject) for row in rows]


@pytest.mark.parametrize(
    ("path", "role", "told"),
    [
        (MODEL, "training", ("model.deleted", "greatness@2")),
        (FEATURES, "processing", ("features.deleted", "shape@2")),
    ],
)
def test_a_deleted_version_is_gone_and_told_of_once_but_others_stay(
    populated_app: flask.Flask, twice: Client, path: str, role: str, told: tuple[str, str]
) -> None:
    assert twice.delete(f"{path}/versions/2").status_code == 204
    problem_of(twice.get(f"{path}/versions/2"), 404)
    problem_of(twice.delete(f"{path}/versions/2"), 404)
    problem_of(twice.delete(f"{path}/versions/9"), 404)
    assert [one["version"] for one in twice.get(path).get_json()["versions"]] == [1]
    assert events_of(populated_app, role).count(told) == 1


def test_latest_passes_over_a_deleted_model_and_its_number_is_not_given_again(twice: Client) -> None:
    twice.delete(f"{MODEL}/versions/2")
    accepted = twice.post("/v1/predictions", json={**PREDICTION, "model": "greatness@latest"})
    assert sample_data.done(twice, accepted)["state"] == "succeeded"
    gone = twice.post("/v1/predictions", json={**PREDICTION, "model": "greatness@2"})
    assert problem_of(gone, 422)["errors"][0]["pointer"] == "#/model"
    path, order = sample_data.ORDERS[2]
    assert sample_data.done(twice, twice.post(path, json=order))["result"]["model"]["version"] == 3


def test_latest_passes_over_a_deleted_feature_set(twice: Client) -> None:
    twice.delete(f"{FEATURES}/versions/2")
    ended = sample_data.done(twice, twice.post(f"{FEATURES}/apply", json={"dataset": "things@1", "name": "again"}))
    assert ended["state"] == "succeeded"
    problem_of(twice.post(f"{FEATURES}/apply", json={"dataset": "things@1", "version": 2}), 422)


def test_a_version_that_an_alias_stands_for_is_not_deleted(twice: Client) -> None:
    for alias in ("champion", "best"):
        twice.put(f"{MODEL}/aliases/{alias}", json={"version": 1})
    detail = problem_of(twice.delete(f"{MODEL}/versions/1"), 409)["detail"]
    assert "'best', 'champion'" in detail
    assert twice.get(f"{MODEL}/versions/1").status_code == 200
    twice.put(f"{MODEL}/aliases/champion", json={"version": 2})
    twice.delete(f"{MODEL}/aliases/best")
    assert twice.delete(f"{MODEL}/versions/1").status_code == 204


def test_a_deleted_model_is_neither_compared_nor_exported_nor_named_and_its_lineage_says_deleted(
    twice: Client, populated_app: flask.Flask
) -> None:
    sample_data.done(twice, twice.post(f"{MODEL}/versions/1/exports", json={"format": "mlflow"}))
    twice.delete(f"{MODEL}/versions/1")
    problem_of(twice.get(f"{MODEL}/compare?versions=1,2"), 404)
    problem_of(twice.get(f"{MODEL}/versions/1/export?format=mlflow"), 404)
    problem_of(twice.post(f"{MODEL}/versions/1/exports", json={"format": "onnx"}), 404)
    problem_of(twice.put(f"{MODEL}/aliases/champion", json={"version": 1}), 404)
    lineage = twice.get(f"{MODEL}/versions/1/lineage").get_json()
    assert {node["id"]: node["status"] for node in lineage["nodes"]}["model:greatness@1"] == "deleted"
    with parts_of(populated_app).databases["training"].statements.connect() as connection:
        assert connection.execute(sa.select(model_exports)).all() == [], "its exports hold no objects"


def test_a_lineage_names_a_deleted_feature_set(populated: Client) -> None:
    order: dict[str, Any] = {**sample_data.TRAINING, "features": "shape@1"}
    del order["dataset"]
    sample_data.done(populated, populated.post("/v1/models/shapely", json=order))
    populated.delete(f"{FEATURES}/versions/1")
    nodes = populated.get("/v1/models/shapely/versions/1/lineage").get_json()["nodes"]
    assert {node["id"]: node["status"] for node in nodes}["features:shape@1"] == "deleted"


@pytest.mark.parametrize(
    ("path", "order", "deleted"),
    [
        ("/v1/predictions", PREDICTION, MODEL),
        (f"{FEATURES}/apply", {"dataset": "things@1", "name": "again"}, FEATURES),
        (f"{MODEL}/versions/1/updates", {"dataset": "things@2"}, MODEL),
    ],
)
def test_a_job_that_pinned_a_version_before_it_was_deleted_can_still_be_done(
    populated: Client, path: str, order: dict[str, Any], deleted: str
) -> None:
    if path.endswith("updates"):
        estimator = {"name": "SGDClassifier", "params": {"loss": "log_loss"}}
        steady = {**sample_data.TRAINING, "estimator": estimator}
        sample_data.done(populated, populated.post("/v1/models/steady", json=steady))
        path, deleted = "/v1/models/steady/versions/1/updates", "/v1/models/steady"
    accepted = populated.post(path, json=order)
    assert populated.delete(f"{deleted}/versions/1").status_code == 204
    sample_data.done(populated, accepted)


def test_an_export_that_is_made_while_its_version_is_deleted_is_not_kept(
    populated_app: flask.Flask, populated: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_meanwhile(*made: Any) -> Any:
        assert populated.delete(f"{MODEL}/versions/1").status_code == 204
        return make(*made)

    make = export._EXPORTERS["mlflow"]
    monkeypatch.setitem(export._EXPORTERS, "mlflow", delete_meanwhile)
    job = populated.post(f"{MODEL}/versions/1/exports", json={"format": "mlflow"}).get_json()
    assert worker.perform(job) == "PermanentError"
    with parts_of(populated_app).databases["training"].statements.connect() as connection:
        assert connection.execute(sa.select(model_exports)).all() == []


def test_a_key_that_may_only_read_deletes_nothing(
    populated_app: flask.Flask, populated: Client, keyring: dict[str, str]
) -> None:
    reader, stranger = (client_of(populated_app, keyring[holder]) for holder in ("reader", "stranger"))
    for path in (MODEL, FEATURES):
        problem_of(reader.delete(f"{path}/versions/1"), 403)
        problem_of(stranger.delete(f"{path}/versions/1"), 404)
        assert populated.get(f"{path}/versions/1").status_code == 200
