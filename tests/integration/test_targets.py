"""A feature set leaves its target alone, says loudly when it has none, and lends it to the models made of it."""

import io
from typing import Any

import flask.testing
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from shared import database
from shared.processing import tables
from tests.integration import sample_data, worker
from tests.integration.steps import problem_of
from tests.integration.training import searches

Client = flask.testing.FlaskClient
EVERYTHING = {"steps": [{"op": "scale", "columns": "numeric"}, {"op": "one_hot", "columns": "categorical"}]}
NOTE = "No target was named, so every column is a feature."
FOLDS = {"method": "cross_validation", "folds": 3}


def houses(*, seed: int = 0, rows: int = 120) -> pd.DataFrame:
    """Make houses with a number, a town, and targets of three types."""
    random = np.random.default_rng(seed)
    made = pd.DataFrame({"size": random.normal(size=rows).round(4), "town": random.choice(["Bergen", "Oslo"], rows)})
    made["price"] = (3 * made["size"] + random.normal(size=rows)).round(4)
    made["sold"] = np.where(made["price"] > 0, "yes", "no")
    made["dear"] = (made["price"] > 1).astype(int)
    return made


@pytest.fixture
def loaded(client: Client) -> Client:
    """A client with houses, and new ones without any target."""
    load(client, "houses", houses())
    load(client, "new", houses(seed=1)[["size", "town"]])
    return client


def load(client: Client, name: str, frame: pd.DataFrame) -> None:
    """Upload a table."""
    sample_data.load(client, name, frame.to_csv(index=False).encode())


def fit(client: Client, *, without: tuple[str, ...] = (), **order: Any) -> dict[str, Any]:
    """Fit a feature set on the houses; gives the job's result."""
    steps = [{"op": "drop", "columns": list(without)}] * bool(without) + EVERYTHING["steps"]
    order = {"dataset": "houses@1", "recipe": {"steps": steps}} | order
    result: dict[str, Any] = sample_data.done(client, client.post("/v1/features/f", json=order))["result"]
    return result


def read(client: Client, dataset: dict[str, Any]) -> pd.DataFrame:
    """Read a version of a dataset."""
    path = f"/v1/datasets/{dataset['name']}/versions/{dataset['version']}/content?format=parquet"
    return pd.read_parquet(io.BytesIO(client.get(path).data))


OTHERS = {"sold": ("price", "dear"), "price": ("sold", "dear"), "dear": ("price", "sold")}


@pytest.mark.parametrize("target", OTHERS)
def test_selections_by_type_leave_the_target_out_and_it_passes_on_unchanged(loaded: Client, target: str) -> None:
    result = fit(loaded, target=target, without=OTHERS[target])
    columns = ["size", "town_Bergen", "town_Oslo"]
    assert (result["features"]["columns"], result["features"]["target"]) == (columns, target)
    assert not [note for note in result["notes"] if NOTE in note]
    made = read(loaded, result["dataset"])
    assert [*made.columns] == [*columns, target]
    assert made[target].tolist() == houses()[target].tolist()
    assert loaded.get("/v1/features/f/versions/1").get_json()["target"] == target
    applied = sample_data.done(loaded, loaded.post("/v1/features/f/apply", json={"dataset": "new@1"}))["result"]
    assert [*read(loaded, applied["dataset"]).columns] == columns
    assert f"The target {target!r} is not in this dataset." in applied["notes"]


def test_without_a_target_the_result_says_so_first(loaded: Client) -> None:
    result = fit(loaded, without=("price", "dear"))
    assert result["notes"][0].startswith(NOTE)
    assert "`target`" in result["notes"][0]
    assert result["features"]["target"] is None
    assert "sold_yes" in result["features"]["columns"], "the very column that was to be predicted"
    shown = loaded.get("/v1/features/f/versions/1").get_json()
    assert (shown["target"], shown["notes"][0]) == (None, result["notes"][0])
    assert loaded.get("/v1/datasets/f-data/versions/1").get_json()["notes"][0] == result["notes"][0]
    accepted = loaded.post("/v1/features/f/apply", json={"dataset": "new@1"})
    assert worker.perform(accepted.get_json()) == "BadDataError", "the new rows lack what was transformed"


@pytest.mark.parametrize(
    "step",
    [
        {"op": "one_hot", "columns": ["town", "sold"]},
        {"op": "drop", "columns": ["sold"]},
        {"op": "select", "columns": ["size", "sold"]},
        {"op": "rename", "names": {"sold": "bought"}},
        {"op": "derive", "name": "x", "expression": "length(sold)"},
        {"op": "filter", "where": "sold == 'yes'"},
    ],
    ids=lambda step: str(step["op"]),
)
def test_a_step_that_names_the_target_is_refused_and_told_why(loaded: Client, step: dict[str, Any]) -> None:
    told = "there is no column 'sold' for steps, because it is the target; leave it out here"
    fitting = {"dataset": "houses@1", "target": "sold", "recipe": {"steps": [step]}}
    [fault] = problem_of(loaded.post("/v1/features/f", json=fitting), 422)["errors"]
    assert fault["pointer"] == "#/recipe/steps/0"
    assert told in fault["detail"]
    if step["op"] != "filter":
        learner = {"problem": "classification", "estimator": {"name": "LogisticRegression"}}
        [fault] = problem_of(loaded.post("/v1/models/m", json=fitting | learner), 422)["errors"]
        assert told in fault["detail"]


MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("sold", "classification", {"name": "LogisticRegression"}),
    ("dear", "classification", {"name": "RandomForestClassifier", "params": {"n_estimators": 5}}),
    ("price", "regression", {"name": "Ridge"}),
]


@pytest.mark.parametrize(("target", "problem", "estimator"), MODELS)
def test_a_model_of_a_feature_set_predicts_its_target(
    loaded: Client, target: str, problem: str, estimator: dict[str, Any]
) -> None:
    fit(loaded, target=target, without=OTHERS[target])
    order = {"features": "f@1", "problem": problem, "estimator": estimator, "validation": FOLDS}
    made = [
        sample_data.done(loaded, loaded.post("/v1/models/m", json=order | more))["result"]
        for more in ({}, {"target": target})
    ]
    assert made[0]["metrics"] == made[1]["metrics"]
    assert made[0]["model"]["sha256"] == made[1]["model"]["sha256"]
    version = loaded.get("/v1/models/m/versions/1").get_json()
    assert (version["target"], version["signature"]["target"]["name"]) == (target, target)
    assert [column["name"] for column in version["signature"]["columns"]] == ["size", "town"]
    predicting = {"model": "m@1", "dataset": "new@1"}
    assert sample_data.done(loaded, loaded.post("/v1/predictions", json=predicting))["result"]["dataset"]["rows"] == 120


def test_a_search_takes_the_target_too(loaded: Client) -> None:
    fit(loaded, target="sold", without=OTHERS["sold"])
    order = {
        "features": "f@1",
        "problem": "classification",
        "estimator": {"name": "LogisticRegression"},
        "validation": FOLDS | {"stratified": True},
        "search": {"method": "grid", "space": {"C": {"values": [0.1, 1.0]}}},
    }
    job = searches.play(loaded, "m", order)
    assert job["state"] == "succeeded", job["error"]
    assert loaded.get("/v1/models/m/versions/1").get_json()["target"] == "sold"


@pytest.mark.parametrize(
    ("problem", "estimator"),
    [("clustering", {"name": "KMeans", "params": {"n_clusters": 2}}), ("anomaly", {"name": "IsolationForest"})],
)
def test_what_learns_no_target_does_not_see_it(loaded: Client, problem: str, estimator: dict[str, Any]) -> None:
    fit(loaded, target="dear", without=OTHERS["dear"])
    order = {"features": "f@1", "problem": problem, "estimator": estimator, "validation": FOLDS}
    sample_data.done(loaded, loaded.post("/v1/models/m", json=order))
    version = loaded.get("/v1/models/m/versions/1").get_json()
    assert version["target"] is None
    assert [column["name"] for column in version["signature"]["columns"]] == ["size", "town"]


def test_a_feature_set_of_an_earlier_release_is_trained_on_as_before(loaded: Client) -> None:
    fit(loaded, target="sold", without=OTHERS["sold"])
    with database.of_process()["processing"].transactions.begin() as connection:
        connection.execute(sa.update(tables.feature_versions).values(target=None))
    order = {"features": "f@1", "problem": "classification", "estimator": {"name": "LogisticRegression"}}
    [fault] = problem_of(loaded.post("/v1/models/m", json=order), 422)["errors"]
    assert fault["pointer"] == "#/target"
    sample_data.done(loaded, loaded.post("/v1/models/m", json=order | {"target": "sold", "validation": FOLDS}))
    sample_data.done(loaded, loaded.post("/v1/features/f/apply", json={"dataset": "new@1"}))


@pytest.mark.parametrize("empty", ["sold", "price", "dear"])
def test_new_rows_may_have_an_empty_target(loaded: Client, empty: str) -> None:
    fit(loaded, target=empty, without=OTHERS[empty])
    load(loaded, "blank", houses(seed=2)[["size", "town"]].assign(**{empty: None}))
    applied = sample_data.done(loaded, loaded.post("/v1/features/f/apply", json={"dataset": "blank@1"}))["result"]
    made = read(loaded, applied["dataset"])
    assert made[empty].isna().all()
    assert len(made) == 120


def test_new_rows_with_a_target_of_another_type_are_refused_by_name(loaded: Client) -> None:
    fit(loaded, target="dear", without=OTHERS["dear"])
    load(loaded, "other", houses(seed=2)[["size", "town"]].assign(dear="unknown"))
    accepted = loaded.post("/v1/features/f/apply", json={"dataset": "other@1"})
    assert worker.perform(accepted.get_json()) == "BadDataError"
    assert "'dear'" in loaded.get(accepted.headers["Location"]).get_json()["error"]["message"]


@pytest.mark.parametrize("target", ["seen", "word", "mark"])
def test_every_kind_of_selection_leaves_every_type_of_target_out(loaded: Client, target: str) -> None:
    table = houses()[["size"]].assign(
        seen=pd.date_range("2026-01-01", periods=120, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ"),
        word=["a", "b", "c"] * 40,
        mark=[True, False] * 60,
    )
    load(loaded, "all", table)
    steps = [
        {"op": "filter", "where": "size > -9"},
        {"op": "date_parts", "columns": "temporal"},
        {"op": "ordinal", "columns": "categorical"},
        {"op": "impute", "columns": "all", "strategy": "constant", "value": 0, "indicator": False},
        {"op": "scale", "columns": "all"},
    ]
    result = fit(loaded, dataset="all@1", recipe={"steps": steps}, target=target)
    made = read(loaded, result["dataset"])
    assert [*made.columns] == [*result["features"]["columns"], target]
    assert not [name for name in result["features"]["columns"] if name.startswith(target)]
    original = read(loaded, {"name": "all", "version": 1})
    assert made[target].tolist() == original[target].tolist()
    load(loaded, "fewer", table.drop(columns=target))
    applied = sample_data.done(loaded, loaded.post("/v1/features/f/apply", json={"dataset": "fewer@1"}))["result"]
    pd.testing.assert_frame_equal(read(loaded, applied["dataset"]), made.drop(columns=target))
