"""The positive class over REST: chosen by training, kept with the model, used by all that measures it."""

import io
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn import metrics

from shared import database
from shared.training import tables
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.training import searches

Client = flask.testing.FlaskClient
NUMBERS = ["a", "b"]
VALIDATION = {"method": "cross_validation", "folds": 3}
DEAR_MISS = {"costs": {"false_positive": 1, "false_negative": 20}}


def payments(*, seed: int, rows: int = 300) -> pd.DataFrame:
    """Make payments of which few are frauds, and a column to slice by."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame(random.normal(size=(rows, 2)).round(4), columns=NUMBERS)
    made["land"] = random.choice(["no", "se"], size=rows)
    made["kind"] = np.where(made["a"] + 0.8 * random.normal(size=rows) > 1.2, "fraud", "ok")
    return made


@pytest.fixture
def loaded(client: Client) -> Client:
    """A client with payments to learn from, and later ones."""
    for name, seed in {"old": 1, "new": 2}.items():
        sample_data.load(client, name, payments(seed=seed).to_csv(index=False).encode())
    return client


def train(client: Client, **order: Any) -> dict[str, Any]:
    """Train; gives the job's result."""
    asked = {
        "dataset": "old@1",
        "target": "kind",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "recipe": {"steps": [{"op": "drop", "columns": ["land"]}, {"op": "scale", "columns": NUMBERS}]},
        "validation": VALIDATION,
    }
    result: dict[str, Any] = sample_data.done(client, client.post("/v1/models/m", json=asked | order))["result"]
    return result


def evaluate(client: Client, model: str = "m@latest", **order: Any) -> dict[str, Any]:
    """Evaluate on the later payments; gives the job's result, which the stored evaluation equals."""
    accepted = client.post("/v1/evaluations", json={"model": model, "dataset": "new@1", **order})
    result: dict[str, Any] = sample_data.done(client, accepted)["result"]
    shown = client.get(f"/v1/evaluations/{result['evaluation']['id']}").get_json()
    assert (shown["positive"], shown["metrics"]) == (result["positive"], result["metrics"])
    return result


def predicted(client: Client, model: str) -> pd.DataFrame:
    """Predict the later payments."""
    name = model.replace("@", "-")
    order = {"model": model, "dataset": "new@1", "name": name}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    return pd.read_parquet(io.BytesIO(client.get(f"/v1/datasets/{name}/versions/1/content?format=parquet").data))


def test_the_rarer_class_is_the_positive_one_and_every_evaluation_uses_it(loaded: Client) -> None:
    result = train(loaded)
    assert result["positive"] == "fraud"
    frauds = int((payments(seed=1)["kind"] == "fraud").sum())
    assert f"the positive class is 'fraud', the rarer one, with {frauds} of 300 rows" in result["notes"][0]
    version = loaded.get("/v1/models/m/versions/1").get_json()
    assert (version["positive"], version["signature"]["positive"]) == ("fraud", "fraud")
    table = predicted(loaded, "m@1")
    assert [name for name in table.columns if name.startswith("prob")] == ["probability_fraud", "probability_ok"]
    found = evaluate(loaded)
    assert found["positive"] == "fraud"
    for metric, measure in {
        "recall": metrics.recall_score,
        "precision": metrics.precision_score,
        "f1": metrics.f1_score,
    }.items():
        expected = measure(table["kind"], table["prediction"], pos_label="fraud")
        assert found["metrics"][metric] == pytest.approx(expected)
        assert found["metrics"][f"{metric}_fraud"] == pytest.approx(expected)
        assert found["metrics"][f"{metric}_ok"] == pytest.approx(
            measure(table["kind"], table["prediction"], pos_label="ok")
        )
    assert found["metrics"]["average_precision"] == pytest.approx(
        metrics.average_precision_score(table["kind"] == "fraud", table["probability_fraud"])
    )


def test_a_dear_missed_fraud_finds_more_frauds(loaded: Client) -> None:
    for order in ({}, {"threshold": DEAR_MISS}, {"threshold": DEAR_MISS | {"positive": "fraud"}}):
        assert train(loaded, **order)["positive"] == "fraud"
    plain, dear, named = ((predicted(loaded, f"m@{version}")["prediction"] == "fraud").sum() for version in (1, 2, 3))
    assert dear > plain
    assert dear == named
    train(loaded, threshold=DEAR_MISS, positive="ok")
    assert (predicted(loaded, "m@4")["prediction"] == "fraud").sum() < plain


def test_an_evaluation_and_its_gate_may_name_another_class(loaded: Client) -> None:
    train(loaded)
    for_fraud, for_ok = evaluate(loaded), evaluate(loaded, positive="ok")
    assert for_ok["positive"] == "ok"
    for metric in ("recall", "precision", "f1"):
        assert for_fraud["metrics"][metric] == for_ok["metrics"][f"{metric}_fraud"]
        assert for_ok["metrics"][metric] == for_fraud["metrics"][f"{metric}_ok"]
    assert for_fraud["metrics"]["recall"] < 0.8 < for_ok["metrics"]["recall"]
    gates: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        ({}, {"metric": "recall", "at_least": 0.8}, False),
        ({"positive": "ok"}, {"metric": "recall", "at_least": 0.8}, True),
        ({}, {"metric": "recall", "at_least": 0.8, "positive": "ok"}, True),
        ({"positive": "ok"}, {"metric": "recall", "at_least": 0.8, "positive": "fraud"}, False),
        ({}, {"metric": "recall_ok", "at_least": 0.8}, True),
        ({"positive": "ok"}, {"metric": "recall_fraud", "at_least": 0.8}, False),
    ]
    for order, gate, passes in gates:
        verdict = evaluate(loaded, gate=gate, **order)["gate"]
        assert verdict["passed"] is passes, (order, gate)
        named = f"recall for {verdict['positive']}" if gate["metric"] == "recall" else gate["metric"]
        assert verdict["rules"][0]["detail"].startswith(f"{named} of the model is ")
        assert verdict["positive"] == (gate.get("positive") or order.get("positive") or "fraud")


def test_slices_and_the_baseline_are_measured_for_the_class_of_the_gate(loaded: Client) -> None:
    train(loaded)
    train(loaded, positive="ok", threshold={"value": 0.3})
    gate = {"metric": "recall", "positive": "ok", "not_worse_than": "1", "slices": {"at_least": 0.5}}
    result = evaluate(loaded, "m@2", positive="fraud", gate=gate, slices=["land"], bootstrap={"samples": 100})
    told = "m@2 was trained with 'ok' as the positive class, the baseline m@1 with 'fraud'"
    assert any(told in warning for warning in result["warnings"])
    tables = {version: predicted(loaded, f"m@{version}") for version in (1, 2)}
    for positive, found in {
        "fraud": result["comparison"]["metrics"]["recall"],
        "ok": {"model": result["gate"]["rules"][0]["value"], "baseline": result["gate"]["rules"][0]["limit"]},
    }.items():
        expected = {
            name: metrics.recall_score(tables[version]["kind"], tables[version]["prediction"], pos_label=positive)
            for name, version in {"model": 2, "baseline": 1}.items()
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected)
    table = tables[2]
    values = {rule["detail"].split()[6]: rule["value"] for rule in result["gate"]["rules"][1:]}
    [sliced] = result["slices"]
    rates = []
    for group in sliced["groups"]:
        rows = table[table["land"] == group["value"]]
        of_fraud = metrics.recall_score(rows["kind"], rows["prediction"], pos_label="fraud")
        assert group["metrics"]["recall"] == pytest.approx(of_fraud)
        rates.append((rows["prediction"] == "fraud").mean())
        of_ok = metrics.recall_score(rows["kind"], rows["prediction"], pos_label="ok")
        assert values[group["value"]] == pytest.approx(of_ok)
    assert sliced["fairness"]["demographic_parity_difference"] == pytest.approx(max(rates) - min(rates))
    interval = result["intervals"]["recall_fraud"]
    assert interval == result["intervals"]["recall"], "the resamples are measured for the same class"


def test_a_model_of_an_earlier_release_keeps_its_class_and_so_do_its_updates(loaded: Client) -> None:
    train(loaded, estimator={"name": "SGDClassifier", "params": {"loss": "log_loss"}})
    with database.of_process()["training"].transactions.begin() as connection:
        [signature] = connection.execute(sa.select(tables.model_versions.c.signature)).scalars()
        earlier = {name: value for name, value in signature.items() if name != "positive"}
        connection.execute(sa.update(tables.model_versions).values(signature=earlier))
    assert loaded.get("/v1/models/m/versions/1").get_json()["positive"] == "ok"
    found = evaluate(loaded)
    assert (found["positive"], found["metrics"]["recall"]) == ("ok", found["metrics"]["recall_ok"])
    accepted = loaded.post("/v1/models/m/versions/1/updates", json={"dataset": "new@1"})
    assert sample_data.done(loaded, accepted)["result"]["positive"] == "ok"
    assert loaded.get("/v1/models/m/versions/2").get_json()["positive"] == "ok"


@pytest.mark.parametrize("positive", ["fraud", "ok"])
def test_an_update_keeps_the_class(loaded: Client, positive: str) -> None:
    train(loaded, estimator={"name": "SGDClassifier", "params": {"loss": "log_loss"}}, positive=positive)
    accepted = loaded.post("/v1/models/m/versions/1/updates", json={"dataset": "new@1", "batches": 2})
    result = sample_data.done(loaded, accepted)["result"]
    assert result["positive"] == positive
    assert result["metrics"]["recall"] == result["metrics"][f"recall_{positive}"]
    [curve] = loaded.get("/v1/models/m/versions/2").get_json()["details"]["precision_recall"]
    assert curve["label"] == positive


def test_a_search_ranks_by_a_class_and_its_trials_have_the_same_positive_class(loaded: Client) -> None:
    order: dict[str, Any] = {
        "dataset": "old@1",
        "target": "kind",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "recipe": {"steps": [{"op": "drop", "columns": ["land"]}, {"op": "scale", "columns": NUMBERS}]},
        "validation": VALIDATION,
        "threshold": DEAR_MISS,
    }
    recalls = {}
    for metric in ("recall", "recall_fraud"):
        search: dict[str, Any] = {"method": "grid", "space": {"C": {"values": [0.01, 1.0]}}, "metric": metric}
        job = searches.play(loaded, "m", order | {"search": search})
        assert job["result"]["positive"] == "fraud"
        recalls[metric] = [row["value"] for row in job["result"]["search"]["leaderboard"]]
    assert recalls["recall"] == recalls["recall_fraud"]
    plain = train(loaded, threshold=DEAR_MISS, estimator={"name": "LogisticRegression", "params": {"C": 1.0}})
    assert plain["metrics"]["recall"]["mean"] in recalls["recall"]


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/evaluations", {"positive": "Fraud"}, "#/positive"),
    ("/v1/evaluations", {"positive": 1}, "#/positive"),
    ("/v1/evaluations", {"gate": {"metric": "f1", "at_least": 0, "positive": "none"}}, "#/gate/positive"),
    ("/v1/models/m", {"problem": "regression", "target": "a", "positive": "fraud"}, "#"),
    ("/v1/models/m", {"positive": "fraud", "threshold": {"value": 0.5, "positive": "ok"}}, "#"),
    ("/v1/models/m", {"positive": ["fraud"]}, "#/positive"),
]


@pytest.mark.parametrize(("path", "order", "pointer"), REFUSED)
def test_what_names_no_class_is_refused_at_the_field(
    loaded: Client, path: str, order: dict[str, Any], pointer: str
) -> None:
    train(loaded)
    plain: dict[str, dict[str, Any]] = {
        "/v1/evaluations": {"model": "m@1", "dataset": "new@1"},
        "/v1/models/m": {
            "dataset": "old@1",
            "target": "kind",
            "problem": "classification",
            "estimator": {"name": "LGBMRegressor" if order.get("problem") else "LogisticRegression"},
        },
    }
    faults = problem_of(loaded.post(path, json=plain[path] | order), 422)["errors"]
    assert any(fault["pointer"].startswith(pointer) for fault in faults), faults


def test_a_class_that_training_does_not_find_fails_with_the_classes_there_are(loaded: Client) -> None:
    order = {
        "dataset": "old@1",
        "target": "kind",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "positive": "scam",
    }
    accepted = loaded.post("/v1/models/m", json=order)
    assert worker.perform(accepted.get_json()) == "BadModelError"
    told = loaded.get(accepted.headers["Location"]).get_json()["error"]["message"]
    assert "'scam', which is no class of the target; the classes are 'fraud' and 'ok'" in told
