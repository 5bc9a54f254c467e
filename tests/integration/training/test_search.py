"""Searches through REST: equal to the same work done directly, whole after losses, and honest about what failed."""

import shutil
from pathlib import Path
from typing import Any

import flask.testing
import numpy as np
import pytest
from sklearn import base, metrics, model_selection

from shared import errors
from shared.ml import artifacts, frames
from tests.integration import sample_data, steps, worker
from tests.integration.training import searches
from workers.training import fit

STRENGTH = {"low": 0.001, "high": 100.0, "log": True}
SEARCH: dict[str, Any] = {
    "dataset": "things@1",
    "target": "great",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression", "params": {"max_iter": 200}},
    "validation": {"method": "cross_validation", "folds": 3, "seed": 2},
    "search": {"method": "random", "trials": 4, "seed": 3, "space": {"C": STRENGTH}},
}
TREE = {"name": "DecisionTreeClassifier", "space": {"max_depth": {"values": [None, 2]}}}


@pytest.fixture
def stocked(client: flask.testing.FlaskClient) -> flask.testing.FlaskClient:
    """A client of a home with one dataset."""
    sample_data.load(client, "things")
    return client


def order(**search: Any) -> dict[str, Any]:
    """Make the usual search with other settings."""
    return {**SEARCH, "search": {**SEARCH["search"], **search}}


def version(client: flask.testing.FlaskClient, name: str, number: int = 1) -> dict[str, Any]:
    """Read a model's version."""
    document: dict[str, Any] = client.get(f"/v1/models/{name}/versions/{number}").get_json()
    return document


def test_a_search_keeps_the_best_exactly_as_training_it_directly_would(stocked: flask.testing.FlaskClient) -> None:
    job = searches.play(stocked, "sought", SEARCH)
    assert job["state"] == "succeeded", job["error"]
    result = job["result"]
    board = result["search"]["leaderboard"]
    assert [row["rank"] for row in board] == [1, 2, 3, 4]
    assert [row["value"] for row in board] == sorted((row["value"] for row in board), reverse=True)
    assert result["best"] == board[0]
    assert result["search"]["trials"] | {"planned": 4, "finished": 4} == result["search"]["trials"]
    chosen = {"name": "LogisticRegression", "params": result["best"]["params"]}
    direct = {key: value for key, value in SEARCH.items() if key != "search"} | {"estimator": chosen}
    trained = sample_data.done(stocked, stocked.post("/v1/models/direct", json=direct))["result"]
    assert result["model"]["sha256"] == trained["model"]["sha256"]
    for name in ("metrics", "rows", "dropped_columns", "warnings", "notes"):
        assert result[name] == trained[name]
    sought, direct_version = version(stocked, "sought"), version(stocked, "direct")
    for name in ("estimator", "recipe", "signature", "metrics", "details"):
        assert sought.get(name) == direct_version.get(name)


def test_the_trials_values_are_those_of_cross_validation_in_scikit_learn(
    stocked: flask.testing.FlaskClient, home: Path
) -> None:
    result = searches.play(stocked, "sought", SEARCH)["result"]
    [stored] = home.glob("objects/**/model.skops")
    model = artifacts.load(stored, sha256=result["model"]["sha256"])
    [table] = [path for path in home.glob("objects/**/*") if path.is_file() and path.suffix == ".parquet"]
    frame = frames.read_frame(table)
    splitter = model_selection.StratifiedKFold(3, shuffle=True, random_state=2)
    for row in result["search"]["leaderboard"]:
        fresh = base.clone(model).set_params(estimator__C=row["params"]["C"])
        values = model_selection.cross_val_score(
            fresh, frame.drop(columns=["great"]), frame["great"], cv=splitter, scoring="roc_auc"
        )
        assert row["value"] == pytest.approx(values.mean(), abs=1e-9)
        assert row["std"] == pytest.approx(values.std(), abs=1e-9)


def test_the_standing_is_shown_while_the_search_goes_on(stocked: flask.testing.FlaskClient) -> None:
    job = searches.start(stocked, "sought", order(parallel=2))
    assert (job["state"], job["interim"]["trials"]["waiting"]) == ("running", 2)
    first = searches.trials(stocked, job)[0]
    worker.perform(first)
    worker.perform(job)
    shown = searches.show(stocked, job)
    assert shown["interim"]["trials"] | {"planned": 4, "waiting": 2, "finished": 1} == shown["interim"]["trials"]
    assert shown["interim"]["leaderboard"][0]["job"] == first["id"]
    assert shown["children"] == {"queued": 2, "succeeded": 1}
    assert 0 < shown["progress"]["fraction"] < 1


def test_what_is_shown_of_a_search_that_has_ended_agrees_with_its_result(stocked: flask.testing.FlaskClient) -> None:
    job = searches.play(stocked, "sought", SEARCH)
    assert job["interim"] == job["result"]["search"]


def test_what_a_search_says_at_its_end_does_not_lag_behind_what_it_shows(
    stocked: flask.testing.FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = searches.start(stocked, "sought", SEARCH)
    for each in searches.trials(stocked, job):
        worker.perform(each)
    seen = []

    def look(*_: Any, **__: Any) -> None:
        seen.append(searches.show(stocked, job))
        raise errors.BadDataError("seen")

    monkeypatch.setattr(fit, "prepare", look)
    worker.perform(job)
    [shown] = seen
    assert shown["progress"]["message"] == "4 of 4 trials have ended"
    assert (shown["interim"]["trials"]["finished"], shown["children"]) == (4, {"succeeded": 4})


def test_a_grid_tries_every_point(stocked: flask.testing.FlaskClient) -> None:
    space = {"C": [0.1, 1], "class_weight": {"values": [None, "balanced"]}, "tol": 0.001}
    result = searches.play(stocked, "sought", order(method="grid", space=space))["result"]
    tried = {(row["params"]["C"], row["params"]["class_weight"]) for row in result["search"]["leaderboard"]}
    assert tried == {(0.1, None), (0.1, "balanced"), (1, None), (1, "balanced")}
    assert {row["params"]["tol"] for row in result["search"]["leaderboard"]} == {0.001}


def test_tpe_goes_on_to_its_last_trial(stocked: flask.testing.FlaskClient) -> None:
    result = searches.play(stocked, "sought", order(method="tpe", trials=14, parallel=2))["result"]
    assert result["search"]["trials"]["finished"] == 14


def test_the_same_search_makes_the_same_trials_and_the_same_model(stocked: flask.testing.FlaskClient) -> None:
    asked = order(method="tpe", trials=13, parallel=3)
    first, second = (searches.play(stocked, "sought", asked)["result"] for _ in range(2))
    for result in (first, second):
        for row in [result["best"], *result["search"]["leaderboard"]]:
            row.pop("seconds"), row.pop("job")
    assert first["search"] == second["search"]
    assert first["model"]["sha256"] == second["model"]["sha256"]


def test_halving_gives_the_best_more_rows_and_the_version_metrics_of_all_rows(
    stocked: flask.testing.FlaskClient,
) -> None:
    asked = order(method="halving", trials=6, halving={"factor": 3, "max_resources": 60})
    result = searches.play(stocked, "sought", asked)["result"]
    board = result["search"]["leaderboard"]
    assert [(row["rung"], row["resource"]) for row in board] == [(1, 60)] * 2 + [(0, 20)] * 6
    assert result["best"]["rank"] == 1
    chosen = {"name": "LogisticRegression", "params": result["best"]["params"]}
    direct = {key: value for key, value in SEARCH.items() if key != "search"} | {"estimator": chosen}
    trained = sample_data.done(stocked, stocked.post("/v1/models/direct", json=direct))["result"]
    assert (result["metrics"], result["model"]["sha256"]) == (trained["metrics"], trained["model"]["sha256"])


def test_several_estimators_are_ranked_side_by_side(stocked: flask.testing.FlaskClient) -> None:
    asked = {**SEARCH, "estimators": [TREE, {"name": "GaussianNB"}], "search": {"method": "grid", "metric": "accuracy"}}
    del asked["estimator"]
    result = searches.play(stocked, "sought", asked)["result"]
    board = result["search"]["leaderboard"]
    assert sorted(row["estimator"] for row in board) == ["DecisionTreeClassifier"] * 2 + ["GaussianNB"]
    assert version(stocked, "sought")["estimator"]["name"] == result["best"]["estimator"]


def test_a_trial_that_fails_is_a_row_and_not_the_end(stocked: flask.testing.FlaskClient) -> None:
    asked = order(
        method="grid", space={"solver": {"values": ["lbfgs", "newton-cg"]}, "l1_ratio": {"values": [0.0, 1.0]}}
    )
    result = searches.play(stocked, "sought", asked)["result"]
    failed = [row for row in result["search"]["leaderboard"] if row["state"] == "failed"]
    assert result["search"]["trials"] | {"finished": 2, "failed": 2} == result["search"]["trials"]
    assert all(row["rank"] is None and "LogisticRegression" in row["error"] for row in failed)


def test_a_search_in_which_everything_fails_says_why(stocked: flask.testing.FlaskClient) -> None:
    job = searches.play(stocked, "sought", order(method="grid", space={"l1_ratio": {"values": [0.5, 1.0]}}))
    assert (job["state"], job["error"]["type"]) == ("failed", "BadModelError")
    assert job["error"]["message"].startswith("none of 2 trials finished; trial 0: BadModelError: LogisticRegression")


def test_data_that_no_trial_could_use_fails_the_search_at_once(stocked: flask.testing.FlaskClient) -> None:
    job = searches.start(stocked, "sought", {**SEARCH, "sample_weight": "word"})
    assert (job["state"], job["error"]["type"]) == ("failed", "BadDataError")
    assert "the sample_weight 'word' must be a column of numbers" in job["error"]["message"]
    assert searches.trials(stocked, job) == []


def test_a_retried_search_goes_on_from_the_trials_that_had_finished(stocked: flask.testing.FlaskClient) -> None:
    whole = searches.play(stocked, "whole", order(parallel=2))["result"]
    job = searches.start(stocked, "sought", order(parallel=2))
    done = searches.trials(stocked, job)[0]
    worker.perform(done)
    worker.perform(job)
    assert stocked.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    again = stocked.post(f"/v1/jobs/{job['id']}/retry").get_json()
    worker.perform(again)
    ended = searches.go_on(stocked, again)
    assert len(searches.trials(stocked, again)) == 3
    board = ended["result"]["search"]["leaderboard"]
    assert done["id"] in {row["job"] for row in board}
    assert [row["params"] for row in board] == [row["params"] for row in whole["search"]["leaderboard"]]
    assert ended["result"]["model"]["sha256"] == whole["model"]["sha256"]


def test_the_last_turn_may_be_taken_on_another_host(stocked: flask.testing.FlaskClient, home: Path) -> None:
    """What only this host keeps is made anew where it is not, the rows and the best trial's predictions."""
    whole = searches.play(stocked, "whole", SEARCH)["result"]
    job = searches.start(stocked, "sought", SEARCH)
    for each in searches.trials(stocked, job):
        worker.perform(each)
    shutil.rmtree(home / "cache")
    worker.perform(job)
    ended = searches.show(stocked, job)["result"]
    assert ended["model"]["sha256"] == whole["model"]["sha256"]
    assert ended["metrics"] == whole["metrics"]
    assert version(stocked, "sought")["details"] == version(stocked, "whole")["details"]


def test_the_host_keeps_predictions_of_trials_that_were_the_best_only(
    stocked: flask.testing.FlaskClient, home: Path
) -> None:
    space = {"C": {"values": [100.0, 1e-5, 1e-6, 1e-7]}}
    searches.play(stocked, "sought", order(method="grid", space=space, metric="log_loss"))
    assert len([*(home / "cache" / "entries").glob("out-of-fold-*")]) == 1
    assert len([*(home / "cache" / "entries").glob("rows-*")]) == 1


def test_a_cancelled_search_takes_its_trials_with_it(stocked: flask.testing.FlaskClient) -> None:
    job = searches.start(stocked, "sought", SEARCH)
    assert stocked.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    assert {each["state"] for each in searches.trials(stocked, job)} == {"cancelled"}


def test_when_the_time_is_over_the_first_trial_is_kept(stocked: flask.testing.FlaskClient) -> None:
    result = searches.play(stocked, "sought", order(max_seconds=0.001))["result"]
    assert result["search"]["trials"] | {"finished": 1, "out_of_time": 3} == result["search"]["trials"]
    [note] = [each for each in result["notes"] if "max_seconds" in each]
    assert note.startswith("1 of 4 trials finished in the 0.001 s of `max_seconds`; 3 ended early")
    assert note in version(stocked, "sought")["notes"]
    assert result["best"]["trial"] == 0


def test_poor_trials_end_early(stocked: flask.testing.FlaskClient) -> None:
    asked = order(
        trials=8,
        space={"C": {"values": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1e-9]}},
        metric="log_loss",
        pruning={"startup_trials": 2, "warmup_folds": 1},
    )
    result = searches.play(stocked, "sought", asked)["result"]
    pruned = [row for row in result["search"]["leaderboard"] if row["state"] == "pruned"]
    assert result["search"]["trials"]["pruned"] == len(pruned) > 0
    assert all(row["rank"] is None and row["value"] is not None for row in pruned)


def test_a_feature_set_stands_for_its_data_and_recipe(stocked: flask.testing.FlaskClient) -> None:
    made = {"dataset": "things@1", "recipe": sample_data.RECIPE, "target": "great"}
    sample_data.done(stocked, stocked.post("/v1/features/shape", json=made))
    asked = {**SEARCH, "features": "shape@1"}
    del asked["dataset"]
    job = searches.play(stocked, "sought", asked)
    assert job["state"] == "succeeded", job["error"]
    assert version(stocked, "sought")["lineage"]["features"] == "shape@1"


def test_metrics_are_the_ones_that_scikit_learn_gives_for_errors_too(stocked: flask.testing.FlaskClient) -> None:
    """An error that is least is the best: its sign is not scikit-learn's."""
    asked = {
        **SEARCH,
        "target": "a",
        "problem": "regression",
        "estimator": {"name": "Ridge"},
        "search": {"method": "grid", "space": {"alpha": {"values": [1e-3, 1e6]}}, "metric": "mean_absolute_error"},
    }
    board = searches.play(stocked, "sought", asked)["result"]["search"]["leaderboard"]
    assert "neg_mean_absolute_error" in metrics.get_scorer_names()
    assert [row["params"]["alpha"] for row in board] == [1e-3, 1e6]
    assert np.diff([row["value"] for row in board])[0] > 0


@pytest.mark.parametrize(
    ("space", "pointer", "told"),
    [
        ({"C": []}, "#/search/space/C", "at least 1 item"),
        ({"C": [1, 2, 1]}, "#/search/space/C", "a value is given twice, 1"),
        ({"C": [0.1, {"low": 1}]}, "#/search/space/C/1", "valid number"),
        ({"C": ["1"]}, "#", "LogisticRegression: `C` is '1'; use a number"),
    ],
)
def test_a_list_that_can_not_be_tried_is_refused_where_it_stands(
    client: flask.testing.FlaskClient, space: dict[str, Any], pointer: str, told: str
) -> None:
    [fault] = steps.problem_of(client.post("/v1/models/sought", json=order(space=space)), 422)["errors"]
    assert fault["pointer"] == pointer
    assert told in fault["detail"]


def test_a_search_that_can_not_be_is_refused_before_it_is_accepted(client: flask.testing.FlaskClient) -> None:
    asked = order(space={"C": {"low": -1.0, "high": 0.1}, "tol": {"low": 2.0, "high": 1.0}})
    problem = steps.problem_of(client.post("/v1/models/sought", json=asked), 422)
    [fault] = problem["errors"]
    assert "the first must be less than the second" in fault["detail"]
    assert fault["pointer"].startswith("#/search/space/tol")


def test_a_trial_can_not_be_submitted_from_outside(client: flask.testing.FlaskClient) -> None:
    response = client.post("/v1/jobs", json={"kind": "training.trial", "params": {}})
    steps.problem_of(response, 422)


PROBLEMS: dict[str, dict[str, Any]] = {
    "regression": {"target": "a"},
    "quantile": {
        "target": "a",
        "estimators": [{"name": "QuantileRegressor", "space": {"alpha": {"values": [0.01, 1.0]}}}],
    },
    "multilabel": {
        "target": "word",
        "estimators": [{"name": "DecisionTreeClassifier"}, {"name": "KNeighborsClassifier"}],
    },
    "clustering": {"estimators": [{"name": "KMeans", "space": {"n_clusters": {"values": [2, 5]}}}]},
    "anomaly": {"target": "odd", "estimators": [{"name": "IsolationForest", "params": {"n_estimators": 20}}]},
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_problem_can_be_searched(stocked: flask.testing.FlaskClient, problem: str) -> None:
    lines = sample_data.table().decode().splitlines()
    odd = [f"{line},{'odd' if not place else str(place % 9 == 0).lower()}" for place, line in enumerate(lines)]
    sample_data.load(stocked, "odd-things", "\n".join(odd).encode())
    asked = {
        "dataset": "odd-things@1",
        "problem": problem,
        "validation": {"method": "cross_validation", "folds": 2},
        "estimators": [{"name": "Ridge", "space": {"alpha": {"values": [0.1, 1.0]}}}],
        "search": {"method": "grid"},
        **PROBLEMS[problem],
    }
    job = searches.play(stocked, "sought", asked)
    assert job["state"] == "succeeded", job["error"]
    best = job["result"]["best"]
    direct = {name: value for name, value in asked.items() if name not in ("search", "estimators")}
    direct["estimator"] = {"name": best["estimator"], "params": best["params"]}
    trained = sample_data.done(stocked, stocked.post("/v1/models/direct", json=direct))["result"]
    assert job["result"]["model"]["sha256"] == trained["model"]["sha256"]
    assert job["result"]["metrics"] == trained["metrics"]
    assert version(stocked, "sought")["details"] == version(stocked, "direct")["details"]


def test_auto_finds_a_model_by_itself(stocked: flask.testing.FlaskClient) -> None:
    asked = {**SEARCH, "estimators": "auto", "search": {"trials": 4, "method": "random"}}
    del asked["estimator"]
    result = searches.play(stocked, "sought", asked)["result"]
    tried = [row["estimator"] for row in result["search"]["leaderboard"]]
    assert len(set(tried)) == 4
    assert result["metrics"]["roc_auc"]["mean"] == result["best"]["value"]
