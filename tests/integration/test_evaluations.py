"""Evaluations over REST: intervals, a baseline on the same rows, slices, and a gate's verdict that is kept."""

from typing import Any

import flask.testing
import numpy as np
import pytest
import sqlalchemy as sa
from sklearn import metrics

from api.evaluation import routes
from shared import database
from shared.evaluation import tables
from shared.jobs import outbox
from shared.ml import artifacts, frames
from tests.integration import sample_data
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
        explain={"permutation_importance": {"repeats": 2}},
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
    for version, drawn in ((2, shown["details"]), (1, shown["baseline_details"])):
        truth, chance = truth_and_chance(two_versions, version=version)
        false, true, _ = metrics.roc_curve(truth, chance)
        [roc] = drawn["roc"]
        assert (roc["label"], roc["false_positive_rate"], roc["true_positive_rate"]) == (
            "yes",
            false.tolist(),
            true.tolist(),
        )
        assert sum(map(sum, drawn["confusion"]["counts"])) == 120
        assert {"calibration_curve", "precision_recall"} <= drawn.keys()
        assert {one["column"] for one in drawn["permutation_importance"]["columns"]} == {"a", "b", "word"}
    assert routes.EvaluationDetail.model_validate(shown)
    [listed, *_] = two_versions.get("/v1/evaluations").get_json()["evaluations"]
    assert listed == {name: shown[name] for name in shown if name not in ("details", "baseline_details")}


def test_an_evaluation_without_a_baseline_has_its_own_curves_only(populated: Client) -> None:
    result = evaluate(populated, positive="no")
    shown = populated.get(f"/v1/evaluations/{result['evaluation']['id']}").get_json()
    assert shown["baseline_details"] is None
    assert set(shown["details"]) == {"confusion", "roc", "precision_recall", "calibration_curve"}
    assert {shown["details"][name][0]["label"] for name in ("roc", "precision_recall", "calibration_curve")} == {"no"}
    marked = populated.patch(f"/v1/evaluations/{shown['id']}", json={"note": "of all things"}).get_json()
    assert routes.EvaluationDetail.model_validate(marked)
    assert marked == {**shown, "note": "of all things"}


def test_the_rows_that_a_condition_keeps_are_drawn_by_their_weights(populated: Client) -> None:
    header, *lines = sample_data.table().decode().splitlines()
    weighed = [f"{line},{number % 4 if number < 80 else ''},{number}" for number, line in enumerate(lines)]
    sample_data.load(populated, "part", "\n".join([f"{header},weight,number", *weighed]).encode())
    explain = {"permutation_importance": {"repeats": 2}}
    result = evaluate(populated, dataset="part@1", sample_weight="weight", where="number < 80", explain=explain)
    shown = populated.get(f"/v1/evaluations/{result['evaluation']['id']}").get_json()
    assert (shown["where"]["rows"], shown["rows"], shown["skipped_rows"]) == (80, 80, 0)
    weights = [number % 4 for number in range(80)]
    truth, chance = truth_and_chance(populated, version=1)
    area = metrics.roc_auc_score(truth[:80], chance[:80], sample_weight=weights)
    assert shown["metrics"]["roc_auc"] == pytest.approx(area, abs=1e-9)
    assert sum(map(sum, shown["details"]["confusion"]["counts"])) == sum(weights)
    assert shown["details"]["permutation_importance"]["columns"]


def test_rows_count_by_their_weights_in_metrics_and_curves(populated: Client) -> None:
    header, *lines = sample_data.table().decode().splitlines()
    weights = [number % 4 for number in range(len(lines))]
    weighed = [f"{line},{weight}" for line, weight in zip(lines, weights, strict=True)]
    sample_data.load(populated, "weighed", "\n".join([f"{header},weight", *weighed]).encode())
    result = evaluate(populated, dataset="weighed@1", sample_weight="weight", bootstrap={"samples": 100})
    shown = populated.get(f"/v1/evaluations/{result['evaluation']['id']}").get_json()
    truth, chance = truth_and_chance(populated, version=1)
    area = metrics.roc_auc_score(truth, chance, sample_weight=weights)
    assert shown["metrics"]["roc_auc"] == pytest.approx(area, abs=1e-9)
    assert shown["intervals"]["roc_auc"]["low"] < area < shown["intervals"]["roc_auc"]["high"]
    false, true, _ = metrics.roc_curve(truth, chance, sample_weight=weights)
    [roc] = shown["details"]["roc"]
    assert (roc["false_positive_rate"], roc["true_positive_rate"]) == (false.tolist(), true.tolist())
    assert sum(map(sum, shown["details"]["confusion"]["counts"])) == sum(weights)
    assert (shown["rows"], shown["undefined"]) == (120, {})


def test_an_evaluation_of_an_earlier_release_has_no_curves(populated: Client) -> None:
    [old] = populated.get("/v1/evaluations").get_json()["evaluations"]
    with database.of_process()["evaluation"].transactions.begin() as connection:
        connection.execute(sa.update(tables.evaluations).values(details=None))
    shown = populated.get(f"/v1/evaluations/{old['id']}").get_json()
    assert (shown["details"], shown["baseline_details"]) == ({}, None)


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_a_gate_that_refuses_is_a_problem_for_who_prefers_so(two_versions: Client, least: float) -> None:
    order = {"model": "greatness@2", "dataset": "things@1", "gate": {"metric": "roc_auc", "at_least": least}}
    key = {"Idempotency-Key": "k"}
    job = sample_data.done(two_versions, two_versions.post("/v1/evaluations", json=order, headers=key))
    response = two_versions.post("/v1/evaluations", json=order, headers={**key, "Prefer": "wait=9; fail=true"})
    if least == 0.0:
        assert (response.status_code, response.get_json()) == (200, job)
        return
    problem = problem_of(response, 424)
    assert problem["job"] == job
    [rule] = job["result"]["gate"]["rules"]
    assert problem["detail"] == f"{job['id']} has succeeded, but the gate refuses: {rule['detail']}"


def area(client: Client, *, version: int) -> float:
    """Measure the area under the curve directly with scikit-learn."""
    return float(metrics.roc_auc_score(*truth_and_chance(client, version=version)))


def truth_and_chance(client: Client, *, version: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row whether it is great, and how probable the stored version finds that."""
    model = client.get(f"/v1/models/greatness/versions/{version}").get_json()
    home = database.of_process()._config.storage_path()
    [artifact] = home.rglob(f"{model['job_id']}/1/model.skops")
    [table] = home.rglob(f"{client.get('/v1/datasets/things/versions/1').get_json()['job_id']}/1/data.parquet")
    frame = frames.read_frame(table)
    fitted = artifacts.load(artifact, sha256=model["sha256"])
    return np.asarray(frame["great"]) == "yes", fitted.predict_proba(frame)[:, 1]


def test_a_version_that_passes_says_so_and_tells_whoever_listens(two_versions: Client) -> None:
    result = evaluate(two_versions, gate={"metric": "roc_auc", "at_least": 0.6})
    assert result["gate"]["passed"] is True
    with database.of_process()["evaluation"].transactions.begin() as connection:
        events = [event for event in outbox.read(connection, limit=100) if event.type == "evaluation.created"]
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
        ({"sample_weight": "wieght"}, "#/sample_weight"),
        ({"least_slice_rows": 0}, "#/least_slice_rows"),
        ({"explain": {"permutation_importance": {"repeats": 0}}}, "#/explain/permutation_importance/repeats"),
        ({"explain": {"shap": {}}}, "#/explain/shap"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_before_it_is_accepted(
    populated: Client, order: dict[str, Any], pointer: str
) -> None:
    response = populated.post("/v1/evaluations", json={"model": "greatness@1", "dataset": "things@1", **order})
    assert response.status_code == 422
    assert any(fault["pointer"].startswith(pointer) for fault in problem_of(response, 422)["errors"])


@pytest.mark.parametrize("metric", ["r2", "recall_maybe"])
def test_a_gate_that_does_not_fit_the_model_is_refused_and_told_what_would(populated: Client, metric: str) -> None:
    order = {"model": "greatness@1", "dataset": "things@1", "gate": {"metric": metric, "at_least": 0}}
    [fault] = problem_of(populated.post("/v1/evaluations", json=order), 422)["errors"]
    assert fault["pointer"] == "#/gate/metric"
    assert f"{metric!r} is no metric of classification; these are: roc_auc, " in fault["detail"]
    assert "recall_yes" in fault["detail"]


def test_a_condition_chooses_the_rows_of_both_models_and_of_slices(two_versions: Client) -> None:
    where = 'word != "red" and a > -0.5'
    kept = [row for row in sample_data.table().decode().split()[1:] if keeps(row)]
    sample_data.load(two_versions, "cut", "\n".join(["a,b,word,great", *kept]).encode())
    order = {"baseline": "greatness@2", "slices": ["word"], "bootstrap": {"samples": 100, "seed": 3}}
    chosen = evaluate(two_versions, where=where, **order)
    cut = evaluate(two_versions, dataset="cut@1", **order)
    for name in ("metrics", "intervals", "comparison", "slices", "rows", "skipped_rows"):
        assert chosen[name] == cut[name], name
    assert chosen["where"] == {"expression": where, "rows": len(kept), "dataset_rows": 120}
    assert cut["where"] is None
    shown = two_versions.get(f"/v1/evaluations/{chosen['evaluation']['id']}").get_json()
    assert shown["where"] == shown["lineage"]["where"] == chosen["where"]
    assert any(
        told.startswith("these are among the rows that greatness@1 was fitted on") for told in chosen["warnings"]
    )


def keeps(row: str) -> bool:
    """Whether a row of the sample's CSV is one that the condition of the test keeps."""
    a, _, word, _ = row.split(",")
    return word != "red" and float(a) > -0.5


def test_a_condition_that_does_not_fit_the_dataset_is_refused_at_the_door(two_versions: Client) -> None:
    order = {"model": "greatness@1", "dataset": "things@1", "where": 'wrod == "red"'}
    problem = problem_of(two_versions.post("/v1/evaluations", json=order), 422)
    assert "column 'wrod' (did you mean 'word'" in str(problem)
    assert "#/where" in str(problem)
