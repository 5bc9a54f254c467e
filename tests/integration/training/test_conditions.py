"""Training under a condition through REST: what is kept of it, and what is refused before anything is trained."""

from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.training import searches

Client = flask.testing.FlaskClient
WHERE = 'word != "red" or is_null(b)'
SEARCH: dict[str, Any] = {
    **sample_data.TRAINING,
    "search": {"method": "random", "trials": 2, "seed": 3, "space": {"C": {"low": 0.01, "high": 10.0, "log": True}}},
}


@pytest.fixture
def stocked(client: Client) -> Client:
    """A client of a home with a dataset, and one of those of its rows that the condition keeps."""
    sample_data.load(client, "things")
    head, *rows = sample_data.table().decode().split()
    sample_data.load(client, "cut", "\n".join([head, *(row for row in rows if ",red," not in row)]).encode())
    return client


def test_a_fit_and_an_update_keep_their_conditions(stocked: Client) -> None:
    order = {**sample_data.TRAINING, "estimator": {"name": "SGDClassifier", "params": {"loss": "log_loss"}}}
    chosen = sample_data.done(stocked, stocked.post("/v1/models/m", json={**order, "where": WHERE}))["result"]
    cut = sample_data.done(stocked, stocked.post("/v1/models/cut", json={**order, "dataset": "cut@1"}))["result"]
    assert chosen["metrics"] == cut["metrics"]
    assert chosen["model"]["sha256"] == cut["model"]["sha256"]
    assert chosen["where"] == {"expression": WHERE, "rows": cut["rows"], "dataset_rows": 120}
    version = stocked.get("/v1/models/m/versions/1").get_json()
    assert version["lineage"]["where"] == chosen["where"]
    update = {"dataset": "things@1", "where": 'word == "red"'}
    updated = sample_data.done(stocked, stocked.post("/v1/models/m/versions/1/updates", json=update))["result"]
    assert updated["where"]["rows"] == 120 - cut["rows"]
    assert updated["rows"] == 120
    lineage = stocked.get("/v1/models/m/versions/2").get_json()["lineage"]
    assert lineage["where"] == updated["where"]
    assert lineage["earlier"][0]["where"] == WHERE


def test_an_evaluation_of_the_model_scores_all_rows_and_says_so(stocked: Client) -> None:
    sample_data.done(stocked, stocked.post("/v1/models/m", json={**sample_data.TRAINING, "where": WHERE}))
    order = {"model": "m@1", "dataset": "things@1"}
    result = sample_data.done(stocked, stocked.post("/v1/evaluations", json=order))["result"]
    assert result["rows"] == 120
    assert any(f"m@1 was trained on rows where {WHERE}, but all rows" in warning for warning in result["warnings"])
    same = sample_data.done(stocked, stocked.post("/v1/evaluations", json={**order, "where": WHERE}))["result"]
    assert same["rows"] < 120
    assert not any("was trained on rows where" in warning for warning in same["warnings"])


def test_a_search_tries_on_the_rows_of_the_condition(stocked: Client) -> None:
    chosen = searches.play(stocked, "m", {**SEARCH, "where": WHERE})["result"]
    cut = searches.play(stocked, "cut", {**SEARCH, "dataset": "cut@1"})["result"]
    assert chosen["metrics"] == cut["metrics"]
    assert chosen["best"] | {"job": "", "seconds": 0} == cut["best"] | {"job": "", "seconds": 0}
    assert chosen["where"] == {"expression": WHERE, "rows": cut["rows"], "dataset_rows": 120}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ('wrod == "red"', "did you mean 'word'"),
        ("a + b", "a condition is true or false"),
        ('a == "red"', "a number can't be compared with a text"),
        ("__import__('os')", "there is no function"),
        ("a ==", "can't be read"),
        ("2 > 1", "reads no column"),
    ],
)
def test_a_condition_that_can_not_work_is_refused_at_the_door(stocked: Client, where: str, told: str) -> None:
    problem = problem_of(stocked.post("/v1/models/m", json={**sample_data.TRAINING, "where": where}), 422)
    assert told in str(problem)
    assert "#/where" in str(problem)


def test_a_condition_that_keeps_too_few_rows_fails_the_job_with_the_count(stocked: Client) -> None:
    job = stocked.post("/v1/models/m", json={**sample_data.TRAINING, "where": "a > 5"}).get_json()
    assert worker.perform(job) is not None
    error = stocked.get(f"/v1/jobs/{job['id']}").get_json()["error"]
    assert "`where` keeps none of 120 rows" in error["message"]


def test_a_model_is_exported_by_the_rows_it_has_learned_from(client: Client) -> None:
    head, *rows = sample_data.table().decode().split()
    # Where the word is red a number is missing, for which a model of the other rows has no step.
    gaps = [",".join(["", *row.split(",")[1:]]) if ",red," in row else row for row in rows]
    sample_data.load(client, "things", "\n".join([head, *gaps]).encode())
    recipe = {"steps": [{"op": "scale", "columns": ["a", "b"]}, {"op": "drop", "columns": ["word"]}]}
    order = {**sample_data.TRAINING, "recipe": recipe, "where": 'word != "red"'}
    sample_data.done(client, client.post("/v1/models/m", json=order))
    sample_data.done(client, client.get("/v1/models/m/versions/1/export?format=onnx"))
