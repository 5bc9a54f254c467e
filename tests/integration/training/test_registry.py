"""The registry: aliases with their history, what differs between versions, and the lineage of a model."""

from typing import Any

import flask
import flask.testing
import pytest

from tests.integration import sample_data
from tests.integration.steps import client_of, down, problem_of

Client = flask.testing.FlaskClient
MODEL = "/v1/models/greatness"


def train(client: Client, **changes: Any) -> dict[str, Any]:
    """Train another version of the populated model."""
    return sample_data.done(client, client.post(MODEL, json={**sample_data.TRAINING, **changes}))


def point(client: Client, alias: str, version: int) -> None:
    assert client.put(f"{MODEL}/aliases/{alias}", json={"version": version}).status_code == 200


def test_aliases_are_listed_in_pages(populated: Client) -> None:
    for alias in ("stage", "champion", "best"):
        point(populated, alias, 1)
    first = populated.get(f"{MODEL}/aliases?limit=2").get_json()
    second = populated.get(f"{MODEL}/aliases?limit=2&cursor={first['next_cursor']}").get_json()
    assert [alias["alias"] for page in (first, second) for alias in page["aliases"]] == ["best", "champion", "stage"]
    assert second["next_cursor"] is None
    assert first["aliases"][0]["version"] == 1


def test_an_alias_keeps_its_history_also_when_it_is_removed(populated: Client) -> None:
    train(populated)
    for version in (1, 2, 1):
        point(populated, "champion", version)
    assert populated.delete(f"{MODEL}/aliases/champion").status_code == 204
    found = populated.get(f"{MODEL}/aliases/champion/history").get_json()
    assert [change["version"] for change in found["changes"]] == [None, 1, 2, 1]
    assert all(change["changed_by"] and change["changed_at"] for change in found["changes"])
    page = populated.get(f"{MODEL}/aliases/champion/history?limit=3").get_json()
    rest = populated.get(f"{MODEL}/aliases/champion/history?limit=3&cursor={page['next_cursor']}").get_json()
    assert [change["version"] for change in page["changes"] + rest["changes"]] == [None, 1, 2, 1]


def test_a_removed_alias_stands_for_nothing(populated: Client) -> None:
    point(populated, "champion", 1)
    assert populated.get(MODEL).get_json()["versions"][0]["aliases"] == ["champion"]
    populated.delete(f"{MODEL}/aliases/champion")
    assert populated.get(MODEL).get_json()["versions"][0]["aliases"] == []
    problem_of(populated.post("/v1/predictions", json={"model": "greatness@champion", "dataset": "things@1"}), 422)
    problem_of(populated.delete(f"{MODEL}/aliases/champion"), 404)


def test_aliases_of_no_model_are_404(populated: Client) -> None:
    problem_of(populated.get("/v1/models/nothing/aliases"), 404)
    problem_of(populated.get(f"{MODEL}/aliases/never/history"), 404)


def test_a_comparison_shows_what_differs_and_nothing_else(populated: Client) -> None:
    recipe = {"steps": [*sample_data.RECIPE["steps"][:1], {"op": "drop", "columns": ["word"]}]}
    train(populated, recipe=sample_data.RECIPE)
    train(populated, recipe=recipe, estimator={"name": "LogisticRegression", "params": {"max_iter": 200, "C": 2.0}})
    found = populated.get(f"{MODEL}/compare?versions=2,3").get_json()
    assert found["versions"] == [2, 3]
    assert found["parameters"] == {"C": {"2": 1.0, "3": 2.0}}
    assert found["recipe"] == {
        "2": [{"step": 2, **_step(populated, 2, 1)}],
        "3": [{"step": 2, **_step(populated, 3, 1)}],
    }
    assert found["columns"]["word"]["2"]["type"] == "string"
    assert found["columns"].keys() == {"word"}
    assert found["libraries"] == {}
    assert found["data"].keys() == {"recipe_sha256"}
    assert found["model"].keys() <= {"sha256", "bytes"}


def _step(client: Client, version: int, place: int) -> dict[str, Any]:
    step: dict[str, Any] = client.get(f"{MODEL}/versions/{version}").get_json()["recipe"]["steps"][place]
    return step


def test_a_metric_that_differs_is_shown_with_the_difference(populated: Client) -> None:
    train(populated, estimator={"name": "DummyClassifier", "params": {}})
    metrics = populated.get(f"{MODEL}/compare?versions=1,2").get_json()["metrics"]
    accuracy = metrics["accuracy"]
    assert accuracy["difference"] == {"2": accuracy["values"]["2"] - accuracy["values"]["1"]}
    assert accuracy["difference"]["2"] < 0
    shown = populated.get(f"{MODEL}/versions/1").get_json()["metrics"]["accuracy"]["mean"]
    assert accuracy["values"]["1"] == shown


def test_equal_versions_differ_in_nothing(populated: Client) -> None:
    train(populated)
    found = populated.get(f"{MODEL}/compare?versions=1,latest").get_json()
    assert found["versions"] == [1, 2]
    parts = ("metrics", "parameters", "recipe", "columns", "data", "libraries", "model")
    assert {part: found[part] for part in parts} == {part: {} for part in parts}


def test_versions_are_compared_by_alias_too(populated: Client) -> None:
    train(populated)
    point(populated, "champion", 1)
    assert populated.get(f"{MODEL}/compare?versions=latest,champion").get_json()["versions"] == [2, 1]


@pytest.mark.parametrize(
    ("versions", "status"),
    [("1", 422), ("1,1", 422), ("1,9", 404), ("1,champion", 404), ("1,-1", 422), ("1,1e3", 404), ("1,,2", 422)],
)
def test_versions_that_can_not_be_compared_are_a_problem(populated: Client, versions: str, status: int) -> None:
    problem_of(populated.get(f"{MODEL}/compare?versions={versions}"), status)


def test_more_than_ten_versions_are_not_compared(populated: Client) -> None:
    problem_of(populated.get(f"{MODEL}/compare?versions={','.join(map(str, range(1, 12)))}"), 422)


def lineage(client: Client, query: str = "") -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Return a lineage's nodes by id, and its edges as pairs."""
    found = client.get(f"{MODEL}/versions/1/lineage{query}").get_json()
    ids = [node["id"] for node in found["nodes"]]
    assert len(ids) == len(set(ids))
    assert {end for edge in found["edges"] for end in (edge["from"], edge["to"])} <= set(ids)
    return {node["id"]: node for node in found["nodes"]}, {(edge["from"], edge["to"]) for edge in found["edges"]}


def test_a_lineage_goes_from_the_upload_to_the_predictions(populated: Client) -> None:
    nodes, edges = lineage(populated)
    [upload] = [name for name, node in nodes.items() if node["type"] == "source"]
    [evaluation] = [name for name, node in nodes.items() if node["type"] == "evaluation"]
    assert edges == {
        (upload, "dataset:things@1"),
        ("dataset:things@1", "model:greatness@1"),
        ("model:greatness@1", evaluation),
        ("dataset:things@1", evaluation),
        ("model:greatness@1", "dataset:guesses@1"),
        ("dataset:things@1", "dataset:guesses@1"),
    }
    version = populated.get(f"{MODEL}/versions/1").get_json()
    model = nodes["model:greatness@1"]
    assert (model["sha256"], model["job"]) == (version["sha256"], version["job_id"])
    assert {node["status"] for node in nodes.values()} == {"present"}


def test_a_lineage_follows_a_feature_set_and_what_is_made_of_predictions(populated: Client) -> None:
    order = {key: value for key, value in sample_data.TRAINING.items() if key != "dataset"}
    sample_data.done(populated, populated.post("/v1/models/shapely", json={**order, "features": "shape@1"}))
    found = populated.get("/v1/models/shapely/versions/1/lineage").get_json()
    pairs = {(edge["from"], edge["to"]) for edge in found["edges"]}
    assert {("dataset:things@1", "features:shape@1"), ("features:shape@1", "model:shapely@1")} <= pairs
    sample_data.done(
        populated, populated.post("/v1/models/second", json={**sample_data.TRAINING, "dataset": "guesses@1"})
    )
    nodes, edges = lineage(populated)
    assert ("dataset:guesses@1", "model:second@1") in edges
    assert "model:shapely@1" not in nodes, "it was made of the same data, but not of this model"


def test_a_lineage_is_bounded_and_says_so(populated: Client) -> None:
    whole = populated.get(f"{MODEL}/versions/1/lineage").get_json()
    assert whole["truncated"] is False
    for query in ("?depth=1", "?limit=2"):
        part = populated.get(f"{MODEL}/versions/1/lineage{query}").get_json()
        assert part["truncated"] is True
        assert part["nodes"][0]["id"] == part["root"] == "model:greatness@1"
    assert len(part["nodes"]) <= 3, "two things, and the source of one of them"


def test_a_lineage_names_what_is_deleted(populated: Client) -> None:
    populated.delete("/v1/datasets/things/versions/1")
    nodes, edges = lineage(populated)
    assert nodes["dataset:things@1"]["status"] == "deleted"
    assert ("dataset:things@1", "model:greatness@1") in edges


@pytest.mark.parametrize("store", ["ingestion", "evaluation", "prediction"])
def test_a_lineage_says_what_is_missing_while_a_database_is_down(
    populated_app: flask.Flask, populated: Client, store: str
) -> None:
    whole, _ = lineage(populated)
    with down(populated_app, store):
        found = populated.get(f"{MODEL}/versions/1/lineage").get_json()
        nodes, _ = lineage(populated)
    assert found["unavailable"] == [store]
    if store == "ingestion":
        assert nodes["dataset:things@1"]["status"] == "unavailable"
        assert nodes["dataset:things@1"]["sha256"] == whole["dataset:things@1"]["sha256"]
    assert nodes["model:greatness@1"] == whole["model:greatness@1"]


def test_a_lineage_is_told_while_the_model_s_own_database_is_down(
    populated_app: flask.Flask, populated: Client
) -> None:
    with down(populated_app, "training"):
        nodes, edges = lineage(populated)
    assert nodes["model:greatness@1"]["status"] == "unavailable"
    assert ("model:greatness@1", "dataset:guesses@1") in edges


def test_the_lineage_of_no_version_is_404(populated: Client) -> None:
    problem_of(populated.get(f"{MODEL}/versions/9/lineage"), 404)


def test_nothing_of_another_tenant_s_registry_is_seen(populated_app: flask.Flask, keyring: dict[str, str]) -> None:
    stranger = client_of(populated_app, keyring["stranger"])
    for path in ("aliases", "aliases/champion/history", "compare?versions=1,latest", "versions/1/lineage"):
        problem_of(stranger.get(f"{MODEL}/{path}"), 404)
    problem_of(stranger.delete(f"{MODEL}/aliases/champion"), 404)


def test_a_version_records_what_made_it(populated: Client) -> None:
    version = populated.get(f"{MODEL}/versions/1").get_json()
    data = populated.get("/v1/datasets/things/versions/1").get_json()
    assert version["lineage"]["dataset_sha256"] == data["sha256"]
    assert len(version["lineage"]["recipe_sha256"]) == 64
    assert version["lineage"]["commit"] is None or len(version["lineage"]["commit"]) >= 7
    assert version["libraries"]["scikit-learn"]
    assert version["job_id"]
    assert version["created_by"]
