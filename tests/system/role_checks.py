"""What each role is asked through REST, compared with the same work done directly; a client of an empty tenant each."""

import io
import pathlib
import tempfile
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import feature_extraction, impute, linear_model, metrics, model_selection, preprocessing, tree

from shared.ml import artifacts
from tests.integration import recipe_cases, sample_data, worker
from tests.integration.storage import stock
from tests.integration.test_recipes import assert_holds, read
from tests.integration.training import searches, test_exports
from tests.integration.training.test_training_problems import scaled
from tests.system.rig import until

Client = flask.testing.FlaskClient
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-9}
NUMBERS = ["a", "b"]
FLAT = {"steps": [{"op": "drop", "columns": ["word"]}, {"op": "scale", "columns": NUMBERS}]}
TRAINING = sample_data.TRAINING | {"recipe": FLAT}
STRANGERS = b"a,b,word\n0.25,-0.5,pink\n-0.75,0.125,red\n,0.5,\n"


def logistic(**params: Any) -> Any:
    """Make the model that TRAINING orders."""
    return scaled(linear_model.LogisticRegression(max_iter=200, random_state=0, **params))


# Ingestion.


def load_every_type(client: Client) -> None:
    """Load a CSV with a column of every type."""
    loaded = sample_data.load(client, "food", recipe_cases.table())["result"]["dataset"]
    direct = pd.read_csv(io.BytesIO(recipe_cases.table()))
    for name in ("seen", "day"):
        direct[name] = pd.to_datetime(direct[name], utc=True)
    made = read(client, "food", 1)
    assert (list(made.columns), loaded["rows"], loaded["columns"]) == (list(direct.columns), *direct.shape)
    for name in direct.columns:
        assert made[name].dropna().tolist() == direct[name].dropna().tolist(), name
    assert made.isna().equals(direct.isna())


# Processing.


def take_every_step(client: Client) -> None:
    """Fit every step as one batch of jobs, and apply all that were fitted as another."""
    sample_data.load(client, "food", recipe_cases.table())
    food = read(client, "food", 1)
    names = {f"dish-{number}": case for number, case in enumerate(recipe_cases.CASES)}
    fits = [
        {"name": name, "dataset": "food@1", "recipe": {"steps": recipe_cases.CASES[case][0]}, "target": "great"}
        for name, case in names.items()
    ]
    do_all(client, "processing.fit", fits)
    applied = [{"features": f"{name}@1", "dataset": "food@1", "name": f"{name}-again"} for name in names]
    do_all(client, "processing.apply", applied)
    for name, case in names.items():
        made, again = (read(client, f"{name}-{what}", 1) for what in ("data", "again"))
        assert_holds(made, recipe_cases.CASES[case][1](food))
        if case == "target_encode":
            assert_holds(again, recipe_cases.target_applied(food))
        else:
            pd.testing.assert_frame_equal(again, made)


def make_tables(client: Client) -> None:
    """Split a dataset, aggregate it, and join it with its aggregate."""
    sample_data.load(client, "things")
    things = read(client, "things", 1)
    order: dict[str, Any] = {"parts": {"train": 0.75, "test": 0.25}, "seed": 3}
    parts = sample_data.done(client, client.post("/v1/datasets/things/split", json=order))["result"]["parts"]
    assert {name: part["dataset"]["rows"] for name, part in parts.items()} == {"train": 90, "test": 30}
    whole = pd.concat([read(client, f"things-{name}", 1) for name in parts])
    by = list(things.columns)
    in_order = things.sort_values(by, ignore_index=True)
    pd.testing.assert_frame_equal(whole.sort_values(by, ignore_index=True), in_order)
    measures = [{"function": "count", "name": "n"}, {"function": "mean", "column": "a", "name": "mean_a"}]
    order = {"name": "words", "by": ["word"], "measures": measures}
    sample_data.done(client, client.post("/v1/datasets/things/aggregate", json=order))
    expected = things.groupby("word", as_index=False).agg(n=("a", "size"), mean_a=("a", "mean"))
    words = read(client, "words", 1).sort_values("word", ignore_index=True)
    pd.testing.assert_frame_equal(words, expected, check_dtype=False)
    order = {"right": "words@1", "name": "both", "on": ["word"], "how": "left"}
    sample_data.done(client, client.post("/v1/datasets/things/join", json=order))
    pd.testing.assert_frame_equal(read(client, "both", 1), things.merge(words, on="word"), check_dtype=False)


def publish_and_push(client: Client) -> None:
    """Publish a feature set by a key, and push a row over it."""
    sample_data.load(client, "people", b"id,age\n1,30\n2,40\n,50\n")
    recipe = {"steps": [{"op": "drop", "columns": ["id"]}]}
    sample_data.done(client, client.post("/v1/features/person", json={"dataset": "people@1", "recipe": recipe}))
    order = {"dataset": "people@1", "key": ["id"]}
    done = sample_data.done(client, client.post("/v1/features/person/publish", json=order))["result"]
    assert (done["rows"], done["columns"], done["dataset"]) == (2, ["age"], "people@1")
    for number in (1, 2):
        rows = [{"id": 2, "age": 41}, {"id": 3, "age": number}]
        answer = client.put("/v1/features/person/rows", json={"rows": rows})
        assert (answer.status_code, answer.get_json()["push"]) == (200, number), answer.text
    [published] = client.get("/v1/features/person/publications").get_json()["publications"]
    assert (published["features"], published["rows"], published["pushed_rows"]) == ("person@1", 2, 2)


def do_all(client: Client, kind: str, orders: list[dict[str, Any]]) -> None:
    """Submit jobs of a kind as one batch, and see all succeed."""
    answer = client.post("/v1/jobs/batch", json={"jobs": [{"kind": kind, "params": params} for params in orders]})
    assert answer.status_code == 202, answer.text
    for job in answer.get_json()["jobs"]:
        assert worker.perform(job) is None, client.get(f"/v1/jobs/{job['id']}").text


def cook_a_whole_recipe(client: Client) -> None:
    """Fit steps of every family one after another, and apply them to rows that were not seen."""
    table = pd.read_csv(io.BytesIO(recipe_cases.table()))
    for name, rows in (("seen", table[:60]), ("unseen", table[60:])):
        sample_data.load(client, name, rows.to_csv(index=False).encode())
    steps = [
        {"op": "select", "columns": ["a", "b", "gaps", "shop", "review", "seen"]},
        {"op": "filter", "where": "a > 1"},
        {"op": "derive", "name": "ratio", "expression": "b / a"},
        {"op": "lag", "columns": ["a"], "by": ["shop"], "order": "seen", "lags": [1]},
        {"op": "impute", "columns": ["gaps", "a_lag1"], "strategy": "median"},
        {"op": "scale", "columns": ["ratio", "gaps"]},
        {"op": "one_hot", "columns": ["shop"]},
        {"op": "tfidf", "columns": ["review"], "max_features": 8},
        {"op": "date_parts", "columns": ["seen"], "parts": ["month"]},
    ]
    order: dict[str, Any] = {"dataset": "seen@1", "recipe": {"steps": steps}}
    sample_data.done(client, client.post("/v1/features/feast", json=order))
    order = {"dataset": "unseen@1", "name": "feast-unseen", "history": False}
    sample_data.done(client, client.post("/v1/features/feast/apply", json=order))
    seen, unseen = (prepared(read(client, name, 1)) for name in ("seen", "unseen"))
    filling = impute.SimpleImputer(strategy="median").fit(seen[["gaps", "a_lag1"]])
    scaling = preprocessing.StandardScaler().fit(filled(filling, seen)[["ratio", "gaps"]])
    words = feature_extraction.text.TfidfVectorizer(max_features=8).fit(seen["review"].fillna(""))
    for name, frame in (("feast-data", seen), ("feast-unseen", unseen)):
        full = filled(filling, frame)
        weights = words.transform(frame["review"].fillna("")).toarray()
        expected = {
            "a": frame["a"],
            "a_lag1": full["a_lag1"],
            **dict(zip(["ratio", "gaps"], scaling.transform(full[["ratio", "gaps"]]).T, strict=True)),
            **{f"shop_{shop}": (frame["shop"] == shop).astype(float) for shop in ("north", "south")},
            **{f"review_{word}": weights[:, place] for place, word in enumerate(words.get_feature_names_out())},
            "seen_month": frame["seen"].dt.month,
        }
        made = read(client, name, 1)
        assert_holds(made, expected)
        assert set(made.columns) == {*expected, "b"}


def prepared(table: pd.DataFrame) -> pd.DataFrame:
    """Do the steps that learn nothing."""
    kept = table[table["a"] > 1].reset_index(drop=True)
    kept["ratio"] = kept["b"] / kept["a"]
    in_order = kept[kept["seen"].notna()].sort_values("seen")
    kept["a_lag1"] = in_order.groupby("shop")["a"].shift(1).reindex(kept.index)
    return kept


def filled(filling: impute.SimpleImputer, table: pd.DataFrame) -> pd.DataFrame:
    """Fill the gaps as they were learned."""
    return table.assign(**dict(zip(["gaps", "a_lag1"], filling.transform(table[["gaps", "a_lag1"]]).T, strict=True)))


# Training; the checks of each problem are those of the integration tests.


def search(client: Client) -> None:
    """Search, and find what trying the same settings directly finds."""
    sample_data.load(client, "things")
    frame = read(client, "things", 1)
    validation = {"method": "cross_validation", "folds": 3, "seed": 2}
    asked = {"method": "random", "trials": 4, "seed": 3, "space": {"C": {"low": 0.001, "high": 100.0, "log": True}}}
    job = searches.play(client, "sought", TRAINING | {"validation": validation, "search": asked})
    assert job["state"] == "succeeded", job["error"]
    board = job["result"]["search"]["leaderboard"]
    splits = model_selection.StratifiedKFold(3, shuffle=True, random_state=2)
    for row in board:
        direct = model_selection.cross_val_score(
            logistic(C=row["params"]["C"]), frame[NUMBERS], frame["great"], cv=splits, scoring="roc_auc"
        )
        np.testing.assert_allclose([row["value"], row["std"]], [direct.mean(), direct.std()], **CLOSE)
    assert len(board) == 4
    assert job["result"]["best"]["value"] == max(row["value"] for row in board)


def export(client: Client) -> None:
    """Export a model to ONNX, and find that it says what a batch prediction says."""
    sample_data.populate(client)
    test_exports.test_an_onnx_export_gives_the_labels_and_probabilities_of_a_batch_prediction(client)


def take_a_model(client: Client) -> None:
    """Import an export of a model as another model, and find that it predicts what the first one does."""
    sample_data.load(client, "things")
    sample_data.done(client, client.post("/v1/models/greatness", json=TRAINING))
    data = test_exports.exported(client, "onnx")
    options: Any = {"data": data, "content_type": "application/octet-stream", "query_string": {"like": "greatness@1"}}
    sample_data.done(client, client.post("/v1/models/bought/import", **options))
    for name in ("greatness", "bought"):
        order = {"model": f"{name}@1", "dataset": "things@1", "name": f"{name}-guesses"}
        sample_data.done(client, client.post("/v1/predictions", json=order))
    expected, made = (read(client, f"{name}-guesses", 1) for name in ("greatness", "bought"))
    assert made["prediction"].tolist() == expected["prediction"].tolist()
    np.testing.assert_allclose(made["probability_yes"], expected["probability_yes"], atol=1e-5)


# Evaluation.


def evaluate(client: Client) -> None:
    """Evaluate a version beside a better one, on slices, by a gate that it fails."""
    sample_data.load(client, "things")
    stump = {"name": "DecisionTreeClassifier", "params": {"max_depth": 1}}
    for order in (TRAINING, TRAINING | {"estimator": stump}):
        sample_data.done(client, client.post("/v1/models/greatness", json=order))
    assert client.put("/v1/models/greatness/aliases/champion", json={"version": 1}).status_code == 200
    order = {
        "model": "greatness@2",
        "dataset": "things@1",
        "slices": ["word"],
        "bootstrap": {"samples": 100},
        "gate": {"metric": "roc_auc", "at_least": 0.5, "not_worse_than": "champion"},
    }
    made = sample_data.done(client, client.post("/v1/evaluations", json=order))["result"]
    frame = read(client, "things", 1)
    champion = logistic().fit(frame[NUMBERS], frame["great"])
    direct = scaled(tree.DecisionTreeClassifier(max_depth=1, random_state=0)).fit(frame[NUMBERS], frame["great"])
    for name, value in scores(direct, frame).items():
        beside = made["comparison"]["metrics"][name]
        wanted = [value, value, scores(champion, frame)[name]]
        np.testing.assert_allclose([made["metrics"][name], beside["model"], beside["baseline"]], wanted, **CLOSE)
        for group in made["slices"][0]["groups"]:
            rows = frame[frame["word"] == group["value"]]
            assert group["rows"] == len(rows)
            np.testing.assert_allclose(group["metrics"][name], scores(direct, rows)[name], **CLOSE)
    right, other = (model.predict(frame[NUMBERS]) == frame["great"] for model in (direct, champion))
    better, worse = int((right & ~other).sum()), int((~right & other).sum())
    test = made["comparison"]["test"]
    assert (test["model_better"], test["baseline_better"]) == (better, worse)
    np.testing.assert_allclose(test["p_value"], stats.binomtest(better, better + worse).pvalue, **CLOSE)
    rulings = {rule["rule"]: rule["passed"] for rule in made["gate"]["rules"]}
    assert (made["gate"]["passed"], rulings) == (False, {"at_least": True, "not_worse_than": False})


def scores(model: Any, frame: pd.DataFrame) -> dict[str, float]:
    """Measure a model directly."""
    probability = model.predict_proba(frame[NUMBERS])
    return {
        "accuracy": model.score(frame[NUMBERS], frame["great"]),
        "roc_auc": metrics.roc_auc_score(frame["great"] == "yes", probability[:, 1]),
        "log_loss": metrics.log_loss(frame["great"], probability, labels=model.classes_),
    }


# Prediction.


def predict(client: Client) -> None:
    """Predict rows as the artifact itself does, those with a word never seen and a gap too."""
    sample_data.load(client, "things")
    sample_data.load(client, "strangers", STRANGERS)
    sample_data.done(client, client.post("/v1/models/greatness", json=sample_data.TRAINING))
    model = artifact(client)
    for name in ("things", "strangers"):
        order = {"model": "greatness@1", "dataset": f"{name}@1", "name": f"{name}-guesses"}
        sample_data.done(client, client.post("/v1/predictions", json=order))
        frame = read(client, name, 1)
        made = read(client, f"{name}-guesses", 1)
        assert made["prediction"].tolist() == model.predict(frame).tolist()
        added = made[[f"probability_{label}" for label in model.classes_]]
        np.testing.assert_allclose(added, model.predict_proba(frame), **CLOSE)
        pd.testing.assert_frame_equal(made[list(frame.columns)], frame)


def end_a_canary(client: Client) -> None:
    """Begin a canary and abort it; its job ends by itself, and the traffic is where it was."""
    sample_data.load(client, "things")
    for _ in range(2):
        sample_data.done(client, client.post("/v1/models/greatness", json=sample_data.TRAINING))
    gate = {"metrics": [{"name": "accuracy", "source": "feedback"}], "interval_seconds": 1}
    document = {"routes": [{"model": "greatness@1"}], "canary": {"model": "greatness@2", "gate": gate}}
    begun = client.put("/v1/deployments/great", json=document).get_json()
    assert [round(route["share"], 6) for route in begun["routes"]] == [0.95, 0.05]
    job = client.get(f"/v1/jobs/{begun['canary']['job']}").get_json()
    ended = client.post("/v1/deployments/great/abort", json={}).get_json()
    assert [(route["model"], route["share"]) for route in ended["routes"]] == [("greatness@1", 1.0)]
    assert worker.perform(job) is None
    assert client.get(f"/v1/jobs/{job['id']}").get_json()["result"]["status"] == "aborted"


def ask_a_shadow(client: Client) -> None:
    """Ask a deployment of the inference server; its shadow is asked the same, by a job, and its log keeps all."""
    sample_data.load(client, "things")
    for strength in (1.0, 0.01):
        order = sample_data.TRAINING | {"estimator": {"name": "LogisticRegression", "params": {"C": strength}}}
        sample_data.done(client, client.post("/v1/models/greatness", json=order))
    document = {"routes": [{"model": "greatness@1"}], "shadow": [{"model": "greatness@2"}], "log": {}}
    assert client.put("/v1/deployments/shaded", json=document).status_code == 200
    frame = read(client, "things", 1)[["a", "b", "word"]]
    asked = {"dataframe_records": frame.to_dict(orient="records")}

    def is_answered() -> bool:
        return client.post("/mlflow/shaded/invocations", json=asked).status_code == 200

    def shadow() -> dict[str, Any]:
        [found] = client.get("/v1/deployments/shaded/shadow").get_json()["shadows"]
        return dict(found)

    until(is_answered, seconds=60, what="an answer of the inference server")
    until(lambda: shadow()["rows"] > 0, seconds=120, what=lambda: str(shadow()))
    labels = [artifact(client, version=version).predict(frame) for version in (1, 2)]
    found = shadow()
    assert (found["rows"], found["failed_rows"], found["lost_rows"]) == (len(frame), 0, 0)
    assert found["agreement"] == pytest.approx(np.mean(labels[0] == labels[1]))

    def files() -> list[dict[str, Any]]:
        return list(client.get("/v1/deployments/shaded/log").get_json()["files"])

    until(lambda: bool(files()), seconds=60, what="a file of the log")
    assert [file["rows"] for file in files()] == [len(frame)]
    sample_data.done(client, client.post("/v1/deployments/shaded/log/dataset", json={"name": "asked"}))
    kept = read(client, "asked", 1)
    pd.testing.assert_frame_equal(kept[["a", "b", "word"]], frame)
    assert kept["prediction"].tolist() == labels[0].tolist()


def predict_through_the_queue(client: Client) -> None:
    """Predict rows by a deployment of two versions, one by one and as a dataset, as the artifacts themselves do."""
    sample_data.load(client, "things")
    for strength in (1.0, 0.01):
        order = sample_data.TRAINING | {"estimator": {"name": "LogisticRegression", "params": {"C": strength}}}
        sample_data.done(client, client.post("/v1/models/greatness", json=order))
    routes = [{"model": "greatness@1", "weight": 50}, {"model": "greatness@2", "weight": 50}]
    assert client.put("/v1/deployments/great", json={"routes": routes, "sticky_key": "word"}).status_code == 200
    order = {"deployment": "great", "dataset": "things@1", "name": "guesses"}
    sample_data.done(client, client.post("/v1/predictions", json=order))
    made, frame = read(client, "guesses", 1), read(client, "things", 1)
    models = {f"greatness@{version}": artifact(client, version=version) for version in (1, 2)}
    for label, rows in made.groupby("prediction_version"):
        probability = models[str(label)].predict_proba(frame.loc[rows.index])[:, 1]
        np.testing.assert_allclose(rows["probability_yes"], probability, **CLOSE)
    instances = frame[["a", "b", "word"]].head(20).to_dict(orient="records")
    path = "/v1/deployments/great/predictions"
    jobs = [client.post(path, json={"instances": [instance]}) for instance in instances]
    for number, accepted in enumerate(jobs):
        result = sample_data.done(client, accepted)["result"]
        assert result["versions"] == [made["prediction_version"][number]]
        [prediction] = result["predictions"]
        assert prediction["prediction"] == made["prediction"][number]
        np.testing.assert_allclose(prediction["probability_yes"], made["probability_yes"][number], **CLOSE)


def artifact(client: Client, *, version: int = 1) -> Any:
    """Fetch the model itself."""
    path_of_version = f"/v1/models/greatness/versions/{version}"
    shown = client.get(path_of_version).get_json()
    answer = client.get(f"{path_of_version}/export?format=skops")
    assert answer.status_code == 200
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.skops"
        path.write_bytes(answer.data)
        return artifacts.load(path, sha256=shown["sha256"])


def train_per_value(client: Client) -> None:
    """Train a model for each word, each the same as that of its rows alone."""
    sample_data.load(client, "things")
    order = TRAINING | {"per": "word", "least_per_rows": 20}
    per = sample_data.done(client, client.post("/v1/models/greatness", json=order))["result"]["per"]
    for value in per["values"]:
        alone = TRAINING | {"where": f"word == '{value['value']}'"}
        trained = sample_data.done(client, client.post("/v1/models/alone", json=alone))["result"]
        assert value["metrics"]["roc_auc"] == trained["metrics"]["roc_auc"]["mean"]


# Storage.


def keep(client: Client) -> None:
    """Verify, say what pruning would take, pack everything, and take it in again."""
    sample_data.populate(client)
    sample_data.load(client, "things", sample_data.table(rows=41))
    verified = stock.do(client, "verify")
    assert (verified["missing_count"], verified["damaged_count"]) == (0, 0)
    planned = stock.do(client, "prune", {"keep_last": 1})
    assert [(one["type"], one["name"], one["version"]) for one in planned["retired"]] == [("dataset", "things", 2)]
    assert stock.do(client, "verify")["sound"] == verified["sound"] == verified["objects"], "it was a dry run"
    archive = stock.packed(client, what="tenant")
    before = read(client, "things", 3)
    assert client.delete("/v1/datasets/things/versions/3").status_code == 204
    stock.restore(client, archive)
    pd.testing.assert_frame_equal(read(client, "things", 4), before)


# Orchestration.


def carry_out(client: Client) -> None:
    """Carry a pipeline out, and cancel a run of it whose first step waits for its turn."""
    steps: list[dict[str, Any]] = [{"name": "first", "kind": "ingestion.ping"}]
    steps.append({"name": "second", "kind": "training.ping", "for_each": [1, 2], "when": "first.attempt == 1"})
    assert client.put("/v1/pipelines/nightly", json={"steps": steps}).status_code == 201

    def show(run_id: str) -> Any:
        return client.get(f"/v1/pipelines/nightly/runs/{run_id}").get_json()

    run_id = client.post("/v1/pipelines/nightly/runs", json={}).get_json()["id"]
    until(lambda: show(run_id)["finished_at"] is not None, seconds=300, what=lambda: str(show(run_id)))
    done = show(run_id)
    assert (done["state"], done["steps"][1]["items"]) == ("succeeded", {"succeeded": 2}), done
    waiting = [{"name": "first", "kind": "ingestion.act", "params": {"how": "sleep", "seconds": 300}}]
    assert client.put("/v1/pipelines/nightly", json={"steps": waiting}).status_code == 201
    run_id = client.post("/v1/pipelines/nightly/runs", json={}).get_json()["id"]
    until(lambda: bool(show(run_id)["steps"]), seconds=300, what=lambda: str(show(run_id)))
    client.post(f"/v1/pipelines/nightly/runs/{run_id}/cancel")
    until(lambda: show(run_id)["steps"][0]["state"] == "cancelled", seconds=300, what=lambda: str(show(run_id)))
