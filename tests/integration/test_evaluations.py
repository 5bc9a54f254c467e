"""Evaluations over REST: intervals, a baseline on the same rows, slices, and a gate's verdict that is kept."""

from typing import Any

import flask.testing
import numpy as np
import pytest
from sklearn import metrics

from shared import database
from shared.jobs import outbox
from shared.ml import artifacts, frames
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from workers.evaluation import bootstrap

Client = flask.testing.FlaskClient


@pytest.fixture
def two_versions(populated: Client) -> Client:
    """Create a home whose model has a second, poorer version; the first is the champion."""
    poorer = {**sample_data.TRAINING, "estimator": {"name": "DummyClassifier", "params": {"strategy": "stratified"}}}
    sample_data.done(populated, populated.post("/v1/models/greatness", json=poorer))
    assert populated.put("/v1/models/greatness/aliases/champion", json={"version": 1}).status_code == 200
    return populated


def evaluate(client: Client, **order: Any) -> dict[str, Any]:
    """Evaluate the first version on its own data; gives the job's result."""
    job = sample_data.done(
        client, client.post("/v1/evaluations", json={"model": "greatness@1", "dataset": "things@1", **order})
    )
    result: dict[str, Any] = job["result"]
    return result


def test_an_evaluation_with_everything_is_kept_whole_and_equals_scikit_learn(two_versions: Client) -> None:
    result = evaluate(
        two_versions,
        model="greatness@2",
        bootstrap={"samples": 100, "seed": 3},
        slices=["word", "a"],
        least_slice_rows=20,
        gate={"metric": "roc_auc", "at_least": 0.6, "not_worse_than": "champion", "slices": {"at_least": 0.4}},
    )
    shown = two_versions.get(f"/v1/evaluations/{result['evaluation']['id']}").get_json()
    assert {name: shown[name] for name in result if name != "evaluation"} == {
        name: value for name, value in result.items() if name != "evaluation"
    }
    assert result["comparison"]["baseline"] == "greatness@1"
    beside = result["comparison"]["metrics"]["roc_auc"]
    assert beside["difference"] == pytest.approx(beside["model"] - beside["baseline"], abs=1e-12)
    assert beside["baseline"] == pytest.approx(area(two_versions, version=1), abs=1e-9)
    assert beside["model"] == pytest.approx(area(two_versions, version=2), abs=1e-9)
    assert beside["interval"]["high"] < 0
    assert result["comparison"]["test"]["name"] == "mcnemar_exact"
    assert {one["column"]: sum(group["rows"] for group in one["groups"]) for one in result["slices"]} == {
        "word": 120,
        "a": 120,
    }
    verdict = result["gate"]
    assert (verdict["passed"], [rule["rule"] for rule in verdict["rules"]][:2]) == (
        False,
        ["at_least", "not_worse_than"],
    )
    assert shown["lineage"]["baseline"] == "greatness@1"


def area(client: Client, *, version: int) -> float:
    """Measure the area under the curve directly with scikit-learn."""
    model = client.get(f"/v1/models/greatness/versions/{version}").get_json()
    home = database.of_process()._config.storage_path()
    [artifact] = home.rglob(f"{model['job_id']}/1/model.skops")
    [table] = home.rglob(f"{client.get('/v1/datasets/things/versions/1').get_json()['job_id']}/1/data.parquet")
    frame = frames.read_frame(table)
    fitted = artifacts.load(artifact, sha256=model["sha256"])
    return float(metrics.roc_auc_score(np.asarray(frame["great"]) == "yes", fitted.predict_proba(frame)[:, 1]))


def test_a_version_that_passes_says_so_and_tells_whoever_listens(two_versions: Client) -> None:
    result = evaluate(two_versions, gate={"metric": "roc_auc", "at_least": 0.6})
    assert result["gate"]["passed"] is True
    with database.of_process()["evaluation"].transactions.begin() as connection:
        events = [event for event in outbox.take(connection, limit=100) if event.type == "evaluation.created"]
    assert [event.data["passed"] for event in events][-1] is True
    assert events[-1].data["model"] == "greatness@1"


def test_a_version_beside_itself_is_told_of_and_draws_no_differences(
    two_versions: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be resampled")

    monkeypatch.setattr(bootstrap, "estimate", refuse)
    result = evaluate(two_versions, gate={"metric": "roc_auc", "not_worse_than": "champion"})
    for warnings in (result["warnings"], result["gate"]["warnings"]):
        assert any("are the same version, greatness@1" in warning for warning in warnings)
    beside = result["comparison"]["metrics"]["roc_auc"]
    assert (beside["difference"], beside["interval"], beside["p_value"]) == (0.0, {"low": 0.0, "high": 0.0}, 1.0)
    assert result["gate"]["passed"] is True


def test_the_rows_that_a_version_was_fitted_on_are_told_of_whatever_they_are_called(two_versions: Client) -> None:
    sample_data.load(two_versions, "others")
    sample_data.load(two_versions, "fresh", sample_data.table(rows=80))
    gate = {"metric": "roc_auc", "at_least": 0.6}
    for dataset in ("things@1", "others@1"):
        result = evaluate(two_versions, dataset=dataset, baseline="greatness@2", bootstrap={"samples": 100}, gate=gate)
        for name in ("greatness@1", "greatness@2"):
            told = f"these are the rows that {name} was fitted on, as things@1"
            assert any(told in warning for warning in result["warnings"])
            assert any(told in warning for warning in result["gate"]["warnings"])
        assert result["gate"]["passed"] is True
    result = evaluate(two_versions, dataset="fresh@1", gate=gate)
    assert not any("fitted on" in warning for warning in [*result["warnings"], *result["gate"]["warnings"]])


def test_two_versions_are_not_called_the_same(two_versions: Client) -> None:
    result = evaluate(two_versions, baseline="greatness@2", bootstrap={"samples": 100})
    assert not any("same version" in warning for warning in result["warnings"])


def test_an_evaluation_without_more_has_no_more(populated: Client) -> None:
    result = evaluate(populated)
    assert (result["intervals"], result["comparison"], result["slices"], result["gate"]) == ({}, None, [], None)


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"gate": {"metric": "roc_auc"}}, "#/gate"),
        ({"gate": {"metric": "roc_auc", "not_worse_than": "nobody"}}, "#/baseline"),
        ({"gate": {"metric": "roc_auc", "slices": {"at_least": 0.5}}}, "#"),
        ({"bootstrap": {"samples": 5}}, "#/bootstrap/samples"),
        ({"bootstrap": {"samples": 10**9}}, "#/bootstrap/samples"),
        ({"slices": ["a"] * 21}, "#/slices"),
        ({"slices": ["wrod"]}, "#/slices"),
        ({"least_slice_rows": 0}, "#/least_slice_rows"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_before_it_is_accepted(
    populated: Client, order: dict[str, Any], pointer: str
) -> None:
    response = populated.post("/v1/evaluations", json={"model": "greatness@1", "dataset": "things@1", **order})
    assert response.status_code == 422
    assert any(fault["pointer"].startswith(pointer) for fault in problem_of(response, 422)["errors"])


def test_an_order_that_does_not_fit_the_model_fails_and_says_what_would(populated: Client) -> None:
    order = {"gate": {"metric": "r2", "at_least": 0}}
    accepted = populated.post("/v1/evaluations", json={"model": "greatness@1", "dataset": "things@1", **order})
    assert worker.perform(accepted.get_json()) == "BadDataError"
    told = populated.get(accepted.headers["Location"]).get_json()["error"]["message"]
    assert "'r2' is no metric of classification" in told
