"""Calibration, thresholds, explanations and LightGBM through REST, equal to the same work done directly."""

import io
from typing import Any

import flask.testing
import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn import (
    base,
    calibration,
    inspection,
    linear_model,
    metrics,
    model_selection,
    pipeline,
    preprocessing,
)

from tests.integration import sample_data, worker
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
NUMBERS = ["a", "b", "c"]
FOLDS = model_selection.StratifiedKFold(3, shuffle=True, random_state=0)
ORDER: dict[str, Any] = {
    "dataset": "things@1",
    "recipe": {"steps": [{"op": "scale", "columns": NUMBERS}]},
    "target": "sort",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression", "params": {}},
    "validation": {"method": "cross_validation", "folds": 3},
}


def frame() -> pd.DataFrame:
    """Make three numbers, labels and a number that partly follow from them."""
    random = np.random.default_rng(0)
    made = pd.DataFrame(random.normal(size=(150, 3)).round(6), columns=NUMBERS)
    made["sort"] = np.where(made["a"] + 0.6 * random.normal(size=150) > 0.8, "yes", "no")
    made["price"] = (2 * made["a"] - made["b"] + 0.2 * random.normal(size=150)).round(6)
    return made


@pytest.fixture
def loaded(client: Client) -> Client:
    """A client whose dataset is loaded."""
    sample_data.load(client, "things", frame()[[*NUMBERS, "sort"]].to_csv(index=False).encode())
    return client


def train(client: Client, **order: Any) -> dict[str, Any]:
    """Train, and give the version that it made."""
    result = sample_data.done(client, client.post("/v1/models/m", json=ORDER | order))["result"]
    version: dict[str, Any] = client.get(f"/v1/models/m/versions/{result['model']['version']}").get_json()
    return version


def predict(client: Client) -> pd.DataFrame:
    """Predict the table that was trained on."""
    sample_data.done(
        client, client.post("/v1/predictions", json={"model": "m@1", "dataset": "things@1", "name": "said"})
    )
    return pd.read_parquet(io.BytesIO(client.get("/v1/datasets/said/versions/1/content?format=parquet").data))


def pipe(estimator: Any) -> pipeline.Pipeline:
    """Put the recipe's scaler before an estimator."""
    return pipeline.Pipeline([("recipe", preprocessing.StandardScaler()), ("estimator", estimator)])


def test_calibrated_probabilities_are_scikit_learns(loaded: Client) -> None:
    version = train(loaded, calibration={"method": "isotonic", "folds": 4})
    table = frame()
    inner = model_selection.StratifiedKFold(4, shuffle=True, random_state=0)
    direct = calibration.CalibratedClassifierCV(
        pipe(linear_model.LogisticRegression()), method="isotonic", cv=inner, ensemble=False
    )
    losses = []
    for train_rows, test_rows in FOLDS.split(table, table["sort"]):
        fold = base.clone(direct).fit(table[NUMBERS].iloc[train_rows], table["sort"].iloc[train_rows])
        said = fold.predict_proba(table[NUMBERS].iloc[test_rows])
        losses.append(metrics.log_loss(table["sort"].iloc[test_rows], said))
    np.testing.assert_allclose(version["metrics"]["log_loss"]["folds"], losses, rtol=1e-9)
    direct.fit(table[NUMBERS], table["sort"])
    said = predict(loaded)
    np.testing.assert_allclose(said["probability_yes"], direct.predict_proba(table[NUMBERS])[:, 1], rtol=1e-9)
    assert (said["prediction"] == direct.predict(table[NUMBERS])).all()
    assert version["details"]["calibration"] == {"method": "isotonic", "folds": 4}


def test_a_threshold_that_was_chosen_is_told_and_kept_to_in_predictions_and_scores(loaded: Client) -> None:
    version = train(loaded, threshold={"maximise": "f1", "folds": 4})
    table = frame()
    inner = model_selection.StratifiedKFold(4, shuffle=True, random_state=0)
    scores = model_selection.cross_val_predict(
        pipe(linear_model.LogisticRegression()), table[NUMBERS], table["sort"], cv=inner, method="predict_proba"
    )[:, 1]
    chosen = version["details"]["threshold"]
    direct = [metrics.f1_score(table["sort"] == "yes", scores >= height) for height in [*scores, chosen["value"]]]
    assert chosen["score"] == pytest.approx(direct[-1], abs=1e-9)
    assert chosen["score"] == pytest.approx(max(direct), abs=1e-9)
    said = predict(loaded)
    assert ((said["prediction"] == "yes") == (said["probability_yes"] >= chosen["value"])).all()
    assert ((said["prediction"] == "yes") != (said["probability_yes"] >= 0.5)).any()
    evaluation = sample_data.done(loaded, loaded.post("/v1/evaluations", json={"model": "m@1", "dataset": "things@1"}))
    f1 = metrics.f1_score(table["sort"] == "yes", said["prediction"] == "yes")
    assert evaluation["result"]["metrics"]["f1"] == pytest.approx(f1, abs=1e-9)


def test_explanations_are_scikit_learns(loaded: Client) -> None:
    asked = {
        "permutation_importance": {"repeats": 2},
        "partial_dependence": {"columns": ["a"], "points": 5},
        "learning_curve": {"fractions": [0.5, 1.0], "max_folds": 2},
        "shap": {"rows": 20},
    }
    details = train(loaded, explain=asked)["details"]
    table = frame()
    features, truth = table[NUMBERS], table["sort"]
    parts = list(FOLDS.split(table, truth))
    fold = pipe(linear_model.LogisticRegression()).fit(features.iloc[parts[0][0]], truth.iloc[parts[0][0]])
    importances = inspection.permutation_importance(
        fold, features.iloc[parts[0][1]], truth.iloc[parts[0][1]], scoring="roc_auc", n_repeats=2, random_state=0
    )
    found = {one["column"]: one["mean"] for one in details["permutation_importance"]["columns"]}
    assert found == pytest.approx(dict(zip(NUMBERS, importances.importances_mean, strict=True)), abs=1e-9)
    whole = pipe(linear_model.LogisticRegression()).fit(features, truth)
    dependence = inspection.partial_dependence(whole, features, ["a"], grid_resolution=5, method="brute")
    np.testing.assert_allclose(details["partial_dependence"][0]["means"], dependence["average"][0], rtol=1e-9)
    _, _, scores = model_selection.learning_curve(
        pipe(linear_model.LogisticRegression()),
        features,
        truth,
        train_sizes=[0.5, 1.0],
        cv=parts[:2],
        scoring="roc_auc",
        shuffle=True,
        random_state=0,
    )
    np.testing.assert_allclose([point["test"] for point in details["learning_curve"]["points"]], scores, rtol=1e-9)
    assert details["shap"]["explainer"] == "linear"
    assert sum(sum(row) for row in details["confusion"]["counts"]) == 150
    assert len(details["roc"][0]["thresholds"]) <= 200


def test_lightgbm_is_lightgbm(loaded: Client) -> None:
    params: dict[str, Any] = {"n_estimators": 10, "num_leaves": 5}
    version = train(loaded, estimator={"name": "LGBMClassifier", "params": params}, seed=3)
    settled: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbosity": -1, "random_state": 3}
    table = frame()
    direct = pipe(lightgbm.LGBMClassifier(**params, **settled, n_jobs=1))
    direct.fit(table[NUMBERS].to_numpy(), table["sort"])
    said = predict(loaded)
    scaled = table[NUMBERS].to_numpy()
    np.testing.assert_allclose(said["probability_yes"], direct.predict_proba(scaled)[:, 1], rtol=1e-9)
    assert version["libraries"]["lightgbm"] == lightgbm.__version__
    again = train(loaded, estimator={"name": "LGBMClassifier", "params": params}, seed=3)
    assert again["sha256"] == version["sha256"]


def test_lightgbm_learns_quantiles_and_labels(client: Client) -> None:
    table = frame()
    table["warm"], table["tall"] = (table["a"] > 0).astype(int), (table["b"] > 0.3).astype(int)
    sample_data.load(client, "things", table[[*NUMBERS, "price", "warm", "tall"]].to_csv(index=False).encode())
    small: dict[str, Any] = {"n_estimators": 5, "num_leaves": 4}
    settled: dict[str, Any] = {"deterministic": True, "force_row_wise": True, "verbosity": -1, "n_jobs": 1}
    features = table[NUMBERS].to_numpy()
    common: dict[str, Any] = {"validation": {"method": "hold_out"}, "recipe": {"steps": []}}
    order = {"target": "price", "problem": "quantile", "quantiles": [0.2, 0.5]}
    client_order = common | order | {"estimator": {"name": "LGBMRegressor", "params": small}}
    without = {"steps": [{"op": "drop", "columns": ["warm", "tall"]}]}
    train(client, **client_order | {"recipe": without})
    direct = lightgbm.LGBMRegressor(**small, **settled, random_state=0, objective="quantile", alpha=0.2)
    said = predict(client)
    lower = next(name for name in said.columns if "0.2" in name)
    np.testing.assert_allclose(said[lower], direct.fit(features, table["price"]).predict(features), rtol=1e-9)
    labels = {"targets": ["warm", "tall"], "problem": "multilabel", "target": None}
    without = {"steps": [{"op": "drop", "columns": ["price"]}]}
    version = train(
        client, **common | labels | {"recipe": without, "estimator": {"name": "LGBMClassifier", "params": small}}
    )
    assert version["metrics"]["f1_macro"]["mean"] > 0.9


def test_lightgbm_stops_early_when_asked(loaded: Client) -> None:
    params = {"n_estimators": 500, "num_leaves": 4}
    asked = {"early_stopping": {"rounds": 5, "fraction": 0.2}}
    version = train(loaded, estimator={"name": "LGBMClassifier", "params": params}, **asked)
    assert version["estimator"]["params"]["early_stopping"] is True
    content = loaded.get("/v1/models/m/versions/1/export?format=skops").data
    assert content.count(b"Tree=") < 250


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"threshold": {}}, "#/threshold"),
        ({"threshold": {"value": 0.5, "maximise": "f1"}}, "#/threshold"),
        ({"calibration": {"method": "magic"}}, "#/calibration/method"),
        ({"calibration": {"folds": 1_000}}, "#/calibration/folds"),
        ({"explain": {"partial_dependence": {"columns": []}}}, "#/explain/partial_dependence/columns"),
        ({"explain": {"shap": {"rows": 10**9}}}, "#/explain/shap/rows"),
        ({"explain": {"learning_curve": {"fractions": [1.0, 0.5]}}}, "#/explain/learning_curve/fractions"),
        ({"estimator": {"name": "LGBMClassifier", "params": {"num_leaves": 10**9}}}, "#/estimator"),
        ({"estimator": {"name": "LGBMClassifier", "params": {"machines": "10.0.0.1:1"}}}, "#/estimator"),
        ({"estimator": {"name": "LGBMRegressor", "params": {}}}, ""),
    ],
)
def test_what_can_not_be_asked_is_refused_by_the_api(loaded: Client, order: dict[str, Any], pointer: str) -> None:
    problem = problem_of(loaded.post("/v1/models/m", json=ORDER | order), 422)
    assert any(one["pointer"].startswith(pointer) for one in problem["errors"]), problem


def test_a_threshold_for_three_classes_fails_with_the_reason(client: Client) -> None:
    table = frame()
    table.loc[:40, "sort"] = "perhaps"
    sample_data.load(client, "things", table[[*NUMBERS, "sort"]].to_csv(index=False).encode())
    accepted = client.post("/v1/models/m", json=ORDER | {"threshold": {"value": 0.5}})
    assert worker.perform(accepted.get_json()) == "BadModelError"
    error = client.get(accepted.headers["Location"]).get_json()["error"]
    assert "a threshold needs a target of two classes, but there are 3" in error["message"]
