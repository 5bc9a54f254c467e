"""A stored version learns on from new rows, as scikit-learn's `partial_fit` does, and nothing else changes."""

import io
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
from sklearn import cluster, linear_model, metrics, naive_bayes, neural_network, preprocessing

from tests.integration import sample_data, worker

Client = flask.testing.FlaskClient
NUMBERS = ["a", "b"]
RECIPE = {"steps": [{"op": "scale", "columns": NUMBERS}]}
HELD_OUT = {"method": "hold_out", "test_fraction": 0.3}


def frame(*, seed: int, rows: int = 90) -> pd.DataFrame:
    """Make two numbers and targets that partly follow from them."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame(random.normal(size=(rows, 2)).round(6), columns=NUMBERS)
    made["sort"] = np.where(made["a"] + 0.3 * random.normal(size=rows) > 0, "high", "low")
    made["price"] = (made["a"] - 2 * made["b"] + 0.1 * random.normal(size=rows)).round(6)
    made["warm"] = (made["b"] > 0).astype(int)
    made["tall"] = (made["a"] > 0.2).astype(int)
    return made


def load(client: Client, name: str, table: pd.DataFrame, columns: list[str]) -> None:
    """Upload some columns of a table."""
    sample_data.load(client, name, table[NUMBERS + columns].to_csv(index=False).encode())


def trained_then_updated(client: Client, columns: list[str], *, batches: int = 2, **order: Any) -> dict[str, Any]:
    """Train on one table and learn on from another; gives the update's result and the version that it made."""
    load(client, "old", frame(seed=1), columns)
    load(client, "new", frame(seed=2), columns)
    asked = {"dataset": "old@1", "recipe": RECIPE, "validation": HELD_OUT} | order
    sample_data.done(client, client.post("/v1/models/m", json=asked))
    accepted = client.post("/v1/models/m/versions/1/updates", json={"dataset": "new@1", "batches": batches})
    result: dict[str, Any] = sample_data.done(client, accepted)["result"]
    return result | {"version": client.get("/v1/models/m/versions/2").get_json()}


def predicted(client: Client, *, version: int = 2) -> pd.DataFrame:
    """Predict the new table with a version."""
    order = {"model": f"m@{version}", "dataset": "new@1", "name": f"guesses-{version}"}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    content = client.get(f"/v1/datasets/guesses-{version}/versions/1/content?format=parquet").data
    return pd.read_parquet(io.BytesIO(content))


CLASSIFIERS: list[tuple[str, dict[str, Any], Any]] = [
    ("SGDClassifier", {"loss": "log_loss"}, linear_model.SGDClassifier(loss="log_loss", random_state=0)),
    ("GaussianNB", {}, naive_bayes.GaussianNB()),
    (
        "MLPClassifier",
        {"hidden_layer_sizes": [5], "max_iter": 200},
        neural_network.MLPClassifier(hidden_layer_sizes=[5], max_iter=200, random_state=0),
    ),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "params", "direct"), CLASSIFIERS, ids=lambda value: str(value)[:20])
def test_a_classifier_learns_on_as_scikit_learn_does(
    client: Client, name: str, params: dict[str, Any], direct: Any
) -> None:
    order: dict[str, Any] = {
        "target": "sort",
        "problem": "classification",
        "estimator": {"name": name, "params": params},
    }
    result = trained_then_updated(client, ["sort"], **order)
    old, new = frame(seed=1), frame(seed=2)
    scaler = preprocessing.StandardScaler().fit(old[NUMBERS])
    direct.fit(scaler.transform(old[NUMBERS]), old["sort"].to_numpy())
    areas = []
    for rows in np.array_split(np.arange(len(new)), 2):
        features, truth = scaler.transform(new[NUMBERS].iloc[rows]), new["sort"].to_numpy()[rows]
        areas.append(metrics.roc_auc_score(truth == "low", direct.predict_proba(features)[:, 1]))
        direct.partial_fit(features, truth)
    np.testing.assert_allclose(result["metrics"]["roc_auc"]["folds"], areas, rtol=1e-9)
    said = predicted(client)
    np.testing.assert_allclose(
        said["probability_low"], direct.predict_proba(scaler.transform(new[NUMBERS]))[:, 1], rtol=1e-9
    )
    assert result["rows"] == 180
    assert set(result["version"]["details"]) >= {"roc", "confusion"}


def test_a_regressor_and_clusters_learn_on_too(client: Client) -> None:
    estimator: dict[str, Any] = {"name": "SGDRegressor", "params": {"max_iter": 50, "tol": None}}
    trained_then_updated(client, ["price"], target="price", problem="regression", estimator=estimator, batches=1)
    old, new = frame(seed=1), frame(seed=2)
    scaler = preprocessing.StandardScaler().fit(old[NUMBERS])
    direct = linear_model.SGDRegressor(max_iter=50, tol=None, random_state=0)
    direct.fit(scaler.transform(old[NUMBERS]), old["price"])
    direct.partial_fit(scaler.transform(new[NUMBERS]), new["price"])
    np.testing.assert_allclose(
        predicted(client)["prediction"], direct.predict(scaler.transform(new[NUMBERS])), rtol=1e-9
    )


def test_clusters_move_as_scikit_learn_moves_them(client: Client) -> None:
    estimator: dict[str, Any] = {"name": "MiniBatchKMeans", "params": {"n_clusters": 3, "n_init": 2}}
    result = trained_then_updated(client, [], problem="clustering", estimator=estimator, batches=3)
    old, new = frame(seed=1), frame(seed=2)
    scaler = preprocessing.StandardScaler().fit(old[NUMBERS])
    direct = cluster.MiniBatchKMeans(n_clusters=3, n_init=2, random_state=0).fit(scaler.transform(old[NUMBERS]))
    for rows in np.array_split(np.arange(len(new)), 3):
        direct.partial_fit(scaler.transform(new[NUMBERS].iloc[rows]))
    said = predicted(client)["prediction"]
    np.testing.assert_array_equal(said, direct.predict(scaler.transform(new[NUMBERS])))
    assert result["version"]["target"] is None


def test_labels_of_a_multilabel_model_are_learned_on_one_by_one(client: Client) -> None:
    order: dict[str, Any] = {
        "targets": ["warm", "tall"],
        "problem": "multilabel",
        "estimator": {"name": "BernoulliNB", "params": {}},
    }
    trained_then_updated(client, ["warm", "tall"], **order, batches=1)
    old, new = frame(seed=1), frame(seed=2)
    scaler = preprocessing.StandardScaler().fit(old[NUMBERS])
    said = predicted(client)
    for label in ("warm", "tall"):
        direct = naive_bayes.BernoulliNB().fit(scaler.transform(old[NUMBERS]), old[label])
        direct.partial_fit(scaler.transform(new[NUMBERS]), new[label])
        probability = direct.predict_proba(scaler.transform(new[NUMBERS]))[:, 1]
        np.testing.assert_allclose(said[f"probability_{label}"], probability, rtol=1e-9)


def test_the_parent_stays_as_it_was_and_the_lineage_names_it(client: Client) -> None:
    order: dict[str, Any] = {
        "target": "sort",
        "problem": "classification",
        "estimator": {"name": "GaussianNB", "params": {}},
    }
    result = trained_then_updated(client, ["sort"], **order)
    first, second = (client.get(f"/v1/models/m/versions/{number}").get_json() for number in (1, 2))
    assert first["sha256"] != second["sha256"]
    assert second["lineage"]["parent"] == "m@1"
    assert second["lineage"]["parent_sha256"] == first["sha256"]
    assert second["lineage"]["dataset"] == "new@1"
    learned = {name: first["lineage"][name] for name in ("dataset", "dataset_sha256")}
    assert second["lineage"]["earlier"] == [learned]
    for name in ("signature", "recipe", "estimator", "problem", "target"):
        assert first[name] == second[name]
    assert result["notes"] == [
        "the metrics are for rows that the model had not learned from yet; the recipe stayed as it was"
    ]


def test_a_threshold_stays_and_is_told(client: Client) -> None:
    order: dict[str, Any] = {
        "target": "sort",
        "problem": "classification",
        "estimator": {"name": "GaussianNB", "params": {}},
        "threshold": {"value": 0.3},
    }
    result = trained_then_updated(client, ["sort"], **order)
    assert "the threshold stayed as it was, 0.3" in result["notes"]
    said, positive = predicted(client), result["positive"]
    np.testing.assert_array_equal(said["prediction"] == positive, said[f"probability_{positive}"] >= 0.3)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({"estimator": {"name": "LogisticRegression", "params": {}}}, "has no partial_fit"),
        ({"estimator": {"name": "GaussianNB", "params": {}}, "calibration": {"folds": 2}}, "was calibrated"),
        (
            {
                "estimator": {"name": "GaussianNB", "params": {}},
                "calibration": {"folds": 2},
                "threshold": {"value": 0.5},
            },
            "was calibrated",
        ),
    ],
)
def test_what_can_not_learn_on_says_why(client: Client, order: dict[str, Any], told: str) -> None:
    load(client, "old", frame(seed=1), ["sort"])
    asked = {"dataset": "old@1", "recipe": RECIPE, "target": "sort", "problem": "classification", **order}
    sample_data.done(client, client.post("/v1/models/m", json=asked | {"validation": HELD_OUT}))
    assert told in _failure(client, {"dataset": "old@1"})


def test_a_class_that_the_model_never_saw_is_refused(client: Client) -> None:
    load(client, "old", frame(seed=1), ["sort"])
    load(client, "odd", frame(seed=2).replace({"sort": {"low": "middling"}}), ["sort"])
    order = {"dataset": "old@1", "recipe": RECIPE, "target": "sort", "problem": "classification"}
    estimator = {"name": "GaussianNB", "params": {}}
    sample_data.done(client, client.post("/v1/models/m", json=order | {"estimator": estimator, "validation": HELD_OUT}))
    assert "holds 'middling', which the model never saw; it knows 'high', 'low'" in _failure(
        client, {"dataset": "odd@1"}
    )
    assert client.get("/v1/models/m/versions/2").status_code == 404


def _failure(client: Client, order: dict[str, Any]) -> str:
    """Do an update that fails, and give the error's message."""
    accepted = client.post("/v1/models/m/versions/1/updates", json=order)
    assert accepted.status_code == 202, accepted.text
    assert worker.perform(accepted.get_json()) is not None
    job = client.get(accepted.headers["Location"]).get_json()
    assert job["state"] == "failed"
    return str(job["error"]["message"])


def test_an_update_of_nothing_is_not_found(client: Client) -> None:
    assert client.post("/v1/models/none/versions/1/updates", json={"dataset": "old@1"}).status_code == 404


def test_parts_of_few_rows_are_scored_together(client: Client) -> None:
    order: dict[str, Any] = {
        "target": "sort",
        "problem": "classification",
        "estimator": {"name": "GaussianNB", "params": {}},
    }
    scores = trained_then_updated(client, ["sort"], batches=1000, **order)["metrics"]
    assert len(scores["roc_auc"]["folds"]) == 3, "90 rows, each learned from by itself, are three parts of 30 to score"
    assert scores["roc_auc"]["mean"] > 0.8
    assert scores["f1"]["mean"] > 0.7


@pytest.mark.parametrize(
    ("problem", "name", "given", "drawn"),
    [
        ("classification", "GaussianNB", {"target": "sort"}, {"confusion", "roc"}),
        ("multilabel", "BernoulliNB", {"targets": ["warm", "tall"]}, {"labels", "roc"}),
        ("regression", "SGDRegressor", {"target": "price"}, {"residuals"}),
        ("clustering", "MiniBatchKMeans", {}, {"clusters"}),
    ],
)
def test_an_evaluation_draws_the_very_curves_that_training_draws_of_these_rows(
    client: Client, problem: str, name: str, given: dict[str, Any], drawn: set[str]
) -> None:
    """An update in one batch scores the old version on rows that it hasn't learned from, as an evaluation does."""
    columns = given.get("targets") or [*given.values()]
    result = trained_then_updated(client, columns, batches=1, problem=problem, estimator={"name": name}, **given)
    job = sample_data.done(client, client.post("/v1/evaluations", json={"model": "m@1", "dataset": "new@1"}))
    shown = client.get(f"/v1/evaluations/{job['result']['evaluation']['id']}").get_json()
    assert drawn <= set(shown["details"])
    assert shown["details"] == result["version"]["details"]
    assert {metric: value["mean"] for metric, value in result["metrics"].items()} == pytest.approx(shown["metrics"])
