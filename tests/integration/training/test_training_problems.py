"""Every problem of training goes through REST to its predictions and scores, equal to the same work in scikit-learn."""

import io
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
from mapie import regression
from sklearn import (
    cluster,
    compose,
    ensemble,
    linear_model,
    metrics,
    mixture,
    model_selection,
    multioutput,
    neighbors,
    pipeline,
    preprocessing,
)

from tests.integration import sample_data

Client = flask.testing.FlaskClient
NUMBERS = ["a", "b", "c"]
RECIPE = {"steps": [{"op": "scale", "columns": NUMBERS}]}
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}


def frame(*, rows: int = 150, seed: int = 3) -> pd.DataFrame:
    """Make a table from which something of every problem can be learned."""
    random = np.random.default_rng(seed)
    place = random.integers(0, 3, size=rows)
    numbers = random.normal(size=(rows, 3)) + 3 * np.eye(3)[place]
    made = pd.DataFrame(numbers, columns=NUMBERS)
    made["sort"] = np.array(["red", "green", "blue"], dtype=object)[place]
    made["price"] = 2 * made["a"] - made["b"] + random.normal(scale=0.5, size=rows)
    made["warm"] = (made["a"] + random.normal(size=rows) > 1).astype(int)
    made["dear"] = (made["price"] > made["price"].median()).astype(int)
    made["tags"] = [
        ";".join(name for name, has in (("warm", warm), ("dear", dear)) if has) or "none"
        for warm, dear in zip(made["warm"], made["dear"], strict=True)
    ]
    made["odd"] = (random.random(rows) < 0.1).astype(int)
    made.loc[made["odd"] == 1, NUMBERS] += 6
    made["weight"] = random.uniform(0.5, 2, size=rows).round(3)
    made["shop"] = random.integers(0, 12, size=rows)
    made["day"] = pd.date_range("2026-01-01", periods=rows).astype(str)
    return made.sample(frac=1, random_state=1, ignore_index=True).round(9)


def load(client: Client, columns: list[str], *, name: str = "things") -> pd.DataFrame:
    """Upload some columns of the table, and give them as they were read from the CSV."""
    text = frame()[columns].to_csv(index=False)
    sample_data.load(client, name, text.encode())
    return pd.read_csv(io.StringIO(text))


def train(client: Client, **order: Any) -> dict[str, Any]:
    """Train, and give the job's result beside its version's details."""
    asked = {"dataset": "things@1", "recipe": RECIPE} | order
    result: dict[str, Any] = sample_data.done(client, client.post("/v1/models/m", json=asked))["result"]
    version = client.get(f"/v1/models/m/versions/{result['model']['version']}").get_json()
    return result | {"version": version}


def predict(client: Client) -> pd.DataFrame:
    """Predict the table that was trained on, and give what was added to it."""
    order = {"model": "m@latest", "dataset": "things@1", "name": "guesses"}
    made = sample_data.done(client, client.post("/v1/predictions", json=order))["result"]["dataset"]
    response = client.get(f"/v1/datasets/guesses/versions/{made['version']}/content?format=parquet")
    table = pd.read_parquet(io.BytesIO(response.data))
    given = pd.read_parquet(io.BytesIO(client.get("/v1/datasets/things/versions/1/content?format=parquet").data))
    return table.drop(columns=list(given.columns))


def score(client: Client) -> dict[str, float]:
    """Score the model on the table that it was trained on."""
    order = {"model": "m@latest", "dataset": "things@1"}
    found: dict[str, float] = sample_data.done(client, client.post("/v1/evaluations", json=order))["result"]["metrics"]
    return found


def scaled(estimator: Any) -> pipeline.Pipeline:
    """Make the pipeline that the recipe stands for."""
    return pipeline.Pipeline([("scale", preprocessing.StandardScaler()), ("estimator", estimator)])


def folds_of(result: dict[str, Any], metric: str) -> list[float]:
    """Return a metric's values on the folds."""
    found: list[float] = result["metrics"][metric]["folds"]
    return found


def test_many_classes(client: Client) -> None:
    table = load(client, [*NUMBERS, "sort"])
    estimator = {"name": "LogisticRegression", "params": {"C": 0.5}}
    validation = {"method": "cross_validation", "folds": 3, "seed": 7}
    result = train(client, problem="classification", target="sort", estimator=estimator, validation=validation)
    direct = scaled(linear_model.LogisticRegression(C=0.5, random_state=0))
    splits = model_selection.StratifiedKFold(3, shuffle=True, random_state=7)
    for name, scorer in (("accuracy", "accuracy"), ("log_loss", "neg_log_loss"), ("roc_auc", "roc_auc_ovr_weighted")):
        wanted = model_selection.cross_val_score(direct, table[NUMBERS], table["sort"], cv=splits, scoring=scorer)
        np.testing.assert_allclose(folds_of(result, name), np.abs(wanted), **CLOSE)
    direct.fit(table[NUMBERS], table["sort"])
    added = predict(client)
    assert added["prediction"].tolist() == direct.predict(table[NUMBERS]).tolist()
    probability = added[[f"probability_{label}" for label in direct.classes_]]
    np.testing.assert_allclose(probability, direct.predict_proba(table[NUMBERS]), **CLOSE)
    assert score(client)["accuracy"] == pytest.approx(direct.score(table[NUMBERS], table["sort"]), abs=1e-9)
    assert result["version"]["details"]["confusion"]["labels"] == ["blue", "green", "red"]


@pytest.mark.parametrize("separator", [None, ";"])
@pytest.mark.parametrize("name", ["LogisticRegression", "KNeighborsClassifier"])
def test_many_labels_a_row(client: Client, name: str, separator: str | None) -> None:
    table = load(client, [*NUMBERS, "warm", "dear"] if separator is None else [*NUMBERS, "tags"])
    if separator is None:
        asked: dict[str, Any] = {"targets": ["warm", "dear"]}
        labels, truth = ["warm", "dear"], table[["warm", "dear"]].to_numpy()
    else:
        asked = {"target": "tags", "separator": separator}
        truth = table["tags"].str.get_dummies(sep=";").to_numpy()
        labels = ["dear", "none", "warm"]
    validation = {"method": "cross_validation", "folds": 3, "seed": 1}
    result = train(client, problem="multilabel", estimator={"name": name}, validation=validation, **asked)
    knows_many = name == "KNeighborsClassifier"
    one: Any = neighbors.KNeighborsClassifier() if knows_many else linear_model.LogisticRegression(random_state=0)
    direct = scaled(one if knows_many else multioutput.MultiOutputClassifier(one))
    splits = model_selection.KFold(3, shuffle=True, random_state=1)
    wanted = model_selection.cross_val_score(direct, table[NUMBERS], truth, cv=splits, scoring="f1_micro")
    np.testing.assert_allclose(folds_of(result, "f1_micro"), wanted, **CLOSE)
    direct.fit(table[NUMBERS], truth)
    added = predict(client)
    said = direct.predict(table[NUMBERS])
    assert added["prediction"].tolist() == [
        (separator or ",").join(np.array(labels, dtype=object)[row == 1]) for row in said
    ]
    np.testing.assert_array_equal(added[[f"prediction_{label}" for label in labels]], said)
    probability = np.column_stack([each[:, 1] for each in direct.predict_proba(table[NUMBERS])])
    np.testing.assert_allclose(added[[f"probability_{label}" for label in labels]], probability, **CLOSE)
    assert score(client)["hamming_loss"] == pytest.approx(metrics.hamming_loss(truth, said), abs=1e-9)
    assert result["version"]["target"] == asked.get("target")


def test_an_empty_text_of_labels_is_a_row_without_any(client: Client) -> None:
    table = frame()[[*NUMBERS, "tags"]]
    table["tags"] = table["tags"].replace("none", "")
    sample_data.load(client, "things", table.to_csv(index=False).encode())
    truth = table["tags"].str.get_dummies(sep=";")
    validation = {"method": "cross_validation", "folds": 3, "seed": 1}
    asked = {"target": "tags", "separator": ";", "estimator": {"name": "KNeighborsClassifier"}}
    result = train(client, problem="multilabel", validation=validation, **asked)
    direct = scaled(neighbors.KNeighborsClassifier())
    splits = model_selection.KFold(3, shuffle=True, random_state=1)
    wanted = model_selection.cross_val_score(direct, table[NUMBERS], truth.to_numpy(), cv=splits, scoring="f1_micro")
    np.testing.assert_allclose(folds_of(result, "f1_micro"), wanted, **CLOSE)
    empty = int((table["tags"] == "").sum())
    assert empty
    told = f"{empty} of {len(table)} rows have no label: their 'tags' is empty or missing"
    assert told in result["notes"]
    order = {"model": "m@latest", "dataset": "things@1"}
    found = sample_data.done(client, client.post("/v1/evaluations", json=order))["result"]
    said = direct.fit(table[NUMBERS], truth.to_numpy()).predict(table[NUMBERS])
    assert found["metrics"]["hamming_loss"] == pytest.approx(metrics.hamming_loss(truth.to_numpy(), said), abs=1e-9)
    assert (found["rows"], found["skipped_rows"]) == (len(table), 0)
    assert f"{told}." in found["warnings"]


def test_texts_alone_are_learned_from_without_a_recipe(client: Client) -> None:
    reviews = pd.DataFrame({"review": [f"order {n} {'lovely thanks' if n % 2 else 'broken sadly'}" for n in range(60)]})
    reviews["good"] = np.where(np.arange(60) % 2, "yes", "no")
    sample_data.load(client, "things", reviews.to_csv(index=False).encode())
    result = train(
        client,
        problem="classification",
        target="good",
        recipe=None,
        estimator={"name": "LogisticRegression"},
        validation={"method": "cross_validation", "folds": 3, "seed": 1},
    )
    assert result["metrics"]["accuracy"]["mean"] == 1.0
    assert predict(client)["prediction"].tolist() == reviews["good"].tolist()


@pytest.mark.parametrize("method", ["split", "cross"])
def test_numbers_with_intervals(client: Client, method: str) -> None:
    table = load(client, [*NUMBERS, "price"])
    conformal = {"method": method, "confidence": 0.8, "fraction": 0.3, "folds": 4, "seed": 5}
    estimator = {"name": "Ridge", "params": {"alpha": 2.0}}
    validation = {"method": "hold_out", "test_fraction": 0.25, "seed": 2}
    result = train(
        client, problem="regression", target="price", estimator=estimator, conformal=conformal, validation=validation
    )

    def direct(x: pd.DataFrame, y: pd.Series, new: pd.DataFrame) -> tuple[Any, Any]:
        model = scaled(linear_model.Ridge(alpha=2.0, random_state=0))
        if method == "cross":
            cv = model_selection.KFold(4, shuffle=True, random_state=5)
            crossed = regression.CrossConformalRegressor(model, confidence_level=0.8, method="base", cv=cv)
            crossed.fit_conformalize(x, y)
            said = crossed.predict_interval(new, aggregate_point_predictions=None)
            return said[0], said[1]
        [(fitted, kept)] = model_selection.ShuffleSplit(1, test_size=0.3, random_state=5).split(x)
        model.fit(x.iloc[fitted], y.iloc[fitted])
        made = regression.SplitConformalRegressor(model, confidence_level=0.8, prefit=True)
        made.conformalize(x.iloc[kept], y.iloc[kept])
        said = made.predict_interval(new)
        return said[0], said[1]

    added = predict(client)
    prediction, interval = direct(table[NUMBERS], table["price"], table[NUMBERS])
    np.testing.assert_allclose(added["prediction"], prediction, **CLOSE)
    np.testing.assert_allclose(added[["prediction_lower", "prediction_upper"]], interval[:, :, 0], **CLOSE)
    [(train_rows, test_rows)] = model_selection.ShuffleSplit(1, test_size=0.25, random_state=2).split(table)
    held_out = table.iloc[test_rows]
    prediction, interval = direct(table[NUMBERS].iloc[train_rows], table["price"].iloc[train_rows], held_out[NUMBERS])
    covered = (interval[:, 0, 0] <= held_out["price"]) & (held_out["price"] <= interval[:, 1, 0])
    assert folds_of(result, "coverage") == [pytest.approx(covered.mean(), abs=1e-9)]
    assert folds_of(result, "r2") == [pytest.approx(metrics.r2_score(held_out["price"], prediction), abs=1e-9)]
    assert {"coverage", "mean_width"} <= score(client).keys()
    assert result["version"]["signature"]["confidence"] == 0.8


def test_light_gbm_learns_quantiles(client: Client) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    table = load(client, [*NUMBERS, "price"])
    params = {"n_estimators": 10, "min_child_samples": 5}
    estimator = {"name": "LGBMRegressor", "params": params}
    train(
        client,
        problem="quantile",
        target="price",
        quantiles=[0.2, 0.8],
        estimator=estimator,
        validation={"method": "hold_out"},
    )
    added = predict(client)
    for level in (0.2, 0.8):
        settled = {"random_state": 0, "deterministic": True, "force_row_wise": True, "verbosity": -1, "n_jobs": 1}
        direct = scaled(lightgbm.LGBMRegressor(objective="quantile", alpha=level, **params, **settled))
        features = direct[0].fit_transform(table[NUMBERS])
        said = direct[1].fit(features, table["price"]).booster_.predict(features)
        np.testing.assert_allclose(added[f"quantile_{level:g}"], said, **CLOSE)


def test_quantiles(client: Client) -> None:
    table = load(client, [*NUMBERS, "price"])
    estimator = {"name": "GradientBoostingRegressor", "params": {"n_estimators": 15}}
    validation = {"method": "cross_validation", "folds": 3}
    result = train(
        client,
        problem="quantile",
        target="price",
        quantiles=[0.1, 0.5, 0.9],
        estimator=estimator,
        validation=validation,
    )
    added = predict(client)
    for level in (0.1, 0.5, 0.9):
        direct = scaled(
            ensemble.GradientBoostingRegressor(loss="quantile", alpha=level, n_estimators=15, random_state=0)
        )
        scorer = metrics.make_scorer(metrics.mean_pinball_loss, alpha=level)
        splits = model_selection.KFold(3, shuffle=True, random_state=0)
        wanted = model_selection.cross_val_score(direct, table[NUMBERS], table["price"], cv=splits, scoring=scorer)
        np.testing.assert_allclose(folds_of(result, f"mean_pinball_loss_{level:g}"), wanted, **CLOSE)
        said = direct.fit(table[NUMBERS], table["price"]).predict(table[NUMBERS])
        np.testing.assert_allclose(added[f"quantile_{level:g}"], said, **CLOSE)
    assert added["prediction"].equals(added["quantile_0.5"].rename("prediction"))
    assert "mean_pinball_loss" in score(client)


def test_conformal_quantiles(client: Client) -> None:
    table = load(client, [*NUMBERS, "price"])
    conformal = {"confidence": 0.8, "fraction": 0.3, "seed": 5}
    estimator = {"name": "QuantileRegressor", "params": {"alpha": 0.01, "solver": "highs"}}
    validation = {"method": "hold_out"}
    train(client, problem="quantile", target="price", conformal=conformal, estimator=estimator, validation=validation)
    [(fitted, kept)] = model_selection.ShuffleSplit(1, test_size=0.3, random_state=5).split(table)
    x, y = table[NUMBERS], table["price"]
    models = [
        scaled(linear_model.QuantileRegressor(quantile=level, alpha=0.01, solver="highs")).fit(
            x.iloc[fitted], y.iloc[fitted]
        )
        for level in (0.1, 0.9, 0.5)
    ]
    direct = regression.ConformalizedQuantileRegressor(models, confidence_level=0.8, prefit=True)
    direct.conformalize(x.iloc[kept], y.iloc[kept])
    prediction, interval = direct.predict_interval(x)
    added = predict(client)
    assert list(added) == [
        "prediction",
        "quantile_0.1",
        "quantile_0.5",
        "quantile_0.9",
        "prediction_lower",
        "prediction_upper",
    ]
    np.testing.assert_allclose(added["prediction"], prediction, **CLOSE)
    np.testing.assert_allclose(added[["prediction_lower", "prediction_upper"]], interval[:, :, 0], **CLOSE)


@pytest.mark.parametrize("name", ["KMeans", "GaussianMixture", "DBSCAN"])
def test_clusters(client: Client, name: str) -> None:
    table = load(client, NUMBERS)
    makers: dict[str, tuple[dict[str, Any], Any]] = {
        "KMeans": ({"n_clusters": 3, "n_init": 2}, cluster.KMeans(3, n_init=2, random_state=0)),
        "GaussianMixture": ({"n_components": 3}, mixture.GaussianMixture(3, random_state=0)),
        "DBSCAN": ({"eps": 0.45}, cluster.DBSCAN(eps=0.45)),
    }
    params, direct = makers[name]
    features = preprocessing.StandardScaler().fit_transform(table)
    validation = {"method": "hold_out", "test_fraction": 0.4}
    result = train(client, problem="clustering", estimator={"name": name, "params": params}, validation=validation)
    labels = direct.fit_predict(features)
    added = predict(client)
    if name == "DBSCAN":
        settled = np.isin(np.arange(len(labels)), direct.core_sample_indices_) | (labels == -1)
        np.testing.assert_array_equal(added["prediction"][settled], labels[settled])
        labels = added["prediction"].to_numpy()
    np.testing.assert_array_equal(added["prediction"], labels)
    if name == "GaussianMixture":
        np.testing.assert_allclose(added.filter(like="probability_"), direct.predict_proba(features), **CLOSE)
    inside = labels >= 0
    found = score(client)
    for metric, function in (
        ("silhouette", metrics.silhouette_score),
        ("davies_bouldin", metrics.davies_bouldin_score),
        ("calinski_harabasz", metrics.calinski_harabasz_score),
    ):
        assert found[metric] == pytest.approx(function(features[inside], labels[inside]), rel=1e-9)
    # The scored rows are those that the version was fitted on.
    kept = {name: value for name, value in result["all_rows"].items() if value not in (None, {})}
    assert kept == result["version"]["details"]["all_rows"]
    assert result["all_rows"]["metrics"] == pytest.approx(found, rel=1e-9)
    assert (result["all_rows"]["rows"], result["all_rows"]["silhouette_rows"]) == (150, int(inside.sum()))
    assert sum(one["rows"] for one in result["all_rows"]["clusters"]) == 150
    assert sum(one["rows"] for one in result["version"]["details"]["clusters"]) == 60
    assert len(folds_of(result, "silhouette")) == 1
    assert result["version"]["target"] is None


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("name", ["IsolationForest", "LocalOutlierFactor"])
def test_anomalies(client: Client, name: str, labelled: bool) -> None:
    table = load(client, [*NUMBERS, "odd"] if labelled else NUMBERS)
    validation = {"method": "cross_validation", "folds": 3, "seed": 4}
    asked = {"target": "odd"} if labelled else {}
    estimator = {"name": name, "params": {"contamination": 0.1}}
    result = train(client, problem="anomaly", estimator=estimator, validation=validation, **asked)
    one: Any = (
        ensemble.IsolationForest(contamination=0.1, random_state=0)
        if name == "IsolationForest"
        else neighbors.LocalOutlierFactor(contamination=0.1, novelty=True)
    )
    direct = scaled(one)
    if labelled:
        wanted = []
        for rows, others in model_selection.StratifiedKFold(3, shuffle=True, random_state=4).split(table, table["odd"]):
            scores = -direct.fit(table[NUMBERS].iloc[rows]).decision_function(table[NUMBERS].iloc[others])
            wanted.append(metrics.roc_auc_score(table["odd"].iloc[others], scores))
        np.testing.assert_allclose(folds_of(result, "roc_auc"), wanted, **CLOSE)
    else:
        assert list(result["metrics"]) == ["anomaly_fraction"]
    direct.fit(table[NUMBERS])
    added = predict(client)
    np.testing.assert_allclose(added["anomaly_score"], -direct.decision_function(table[NUMBERS]), **CLOSE)
    np.testing.assert_array_equal(added["prediction"], direct.predict(table[NUMBERS]) == -1)
    assert score(client)["anomaly_fraction"] == pytest.approx(added["prediction"].mean(), abs=1e-9)


def test_groups_stay_together_and_weights_count(client: Client) -> None:
    table = load(client, [*NUMBERS, "price", "weight", "shop"])
    validation = {"method": "cross_validation", "folds": 4, "seed": 2, "group": "shop"}
    result = train(
        client,
        problem="regression",
        target="price",
        estimator={"name": "Ridge"},
        validation=validation,
        sample_weight="weight",
    )
    direct = scaled(linear_model.Ridge(random_state=0))
    splits = model_selection.GroupKFold(4, shuffle=True, random_state=2)
    wanted = []
    for rows, others in splits.split(table, groups=table["shop"]):
        fitted, held_out = table.iloc[rows], table.iloc[others]
        direct.fit(fitted[NUMBERS], fitted["price"], estimator__sample_weight=fitted["weight"])
        said = direct.predict(held_out[NUMBERS])
        wanted.append(metrics.mean_absolute_error(held_out["price"], said, sample_weight=held_out["weight"]))
    np.testing.assert_allclose(folds_of(result, "mean_absolute_error"), wanted, **CLOSE)
    direct.fit(table[NUMBERS], table["price"], estimator__sample_weight=table["weight"])
    np.testing.assert_allclose(predict(client)["prediction"], direct.predict(table[NUMBERS]), **CLOSE)
    assert [column["name"] for column in result["version"]["signature"]["columns"]] == NUMBERS


def test_what_comes_later_is_predicted_from_what_came_before(client: Client) -> None:
    table = load(client, [*NUMBERS, "price", "day"])
    validation = {"method": "time_series", "time": "day", "folds": 3, "gap": 5}
    recipe = {"steps": [{"op": "scale", "columns": NUMBERS}, {"op": "drop", "columns": ["day"]}]}
    result = train(
        client,
        problem="regression",
        target="price",
        estimator={"name": "LinearRegression"},
        validation=validation,
        recipe=recipe,
    )
    direct = compose.ColumnTransformer([("scale", preprocessing.StandardScaler(), NUMBERS)])
    model = pipeline.Pipeline([("recipe", direct), ("estimator", linear_model.LinearRegression())])
    ordered = table.sort_values("day", kind="stable", ignore_index=True)
    splits = model_selection.TimeSeriesSplit(3, gap=5)
    wanted = model_selection.cross_val_score(model, ordered, ordered["price"], cv=splits, scoring="r2")
    np.testing.assert_allclose(folds_of(result, "r2"), wanted, **CLOSE)


def test_members_vote(client: Client) -> None:
    table = load(client, [*NUMBERS, "sort"])
    members = [{"name": "LogisticRegression"}, {"name": "RandomForestClassifier", "params": {"n_estimators": 10}}]
    estimator = {"name": "VotingClassifier", "params": {"voting": "soft"}, "estimators": members}
    validation = {"method": "hold_out"}
    train(client, problem="classification", target="sort", estimator=estimator, validation=validation)
    direct = scaled(
        ensemble.VotingClassifier(
            [
                ("a", linear_model.LogisticRegression(random_state=0)),
                ("b", ensemble.RandomForestClassifier(10, random_state=0)),
            ],
            voting="soft",
        )
    ).fit(table[NUMBERS], table["sort"])
    added = predict(client)
    probability = added[[f"probability_{label}" for label in direct.classes_]]
    np.testing.assert_allclose(probability, direct.predict_proba(table[NUMBERS]), **CLOSE)


ORDERS: dict[str, dict[str, Any]] = {
    "classification": {
        "target": "sort",
        "estimator": {"name": "RandomForestClassifier", "params": {"n_estimators": 10}},
    },
    "multilabel": {"targets": ["warm", "dear"], "estimator": {"name": "SGDClassifier"}},
    "regression": {"target": "price", "estimator": {"name": "MLPRegressor", "params": {"max_iter": 5}}},
    "quantile": {"target": "price", "estimator": {"name": "HistGradientBoostingRegressor", "params": {"max_iter": 5}}},
    "clustering": {"estimator": {"name": "MiniBatchKMeans", "params": {"n_clusters": 3}}},
    "anomaly": {"estimator": {"name": "IsolationForest", "params": {"n_estimators": 10}}},
}


@pytest.mark.parametrize("problem", ORDERS)
def test_the_same_seed_gives_the_same_bits(client: Client, problem: str) -> None:
    load(client, [*NUMBERS, "sort", "warm", "dear", "price"])
    used = ["sort", "warm", "dear", "price"]
    named = [ORDERS[problem].get("target"), *ORDERS[problem].get("targets", [])]
    dropped = [name for name in used if name not in named]
    recipe = {"steps": [*RECIPE["steps"], {"op": "drop", "columns": dropped}]}
    asked = {"problem": problem, "recipe": recipe, "validation": {"method": "hold_out"}} | ORDERS[problem]
    first, again, other = (train(client, **asked, seed=seed) for seed in (1, 1, 2))
    assert first["model"]["sha256"] == again["model"]["sha256"] != other["model"]["sha256"]
    assert first["metrics"] == again["metrics"]
    assert [first["model"]["version"], again["model"]["version"]] == [1, 2]
