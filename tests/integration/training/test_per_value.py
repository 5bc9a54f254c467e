"""One model a value through REST: as trained by hand, whole after failures and retries, refused where it can't be."""

import random
from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data, worker
from tests.integration.steps import client_of, problem_of

Client = flask.testing.FlaskClient
ENDS = ("succeeded", "failed", "cancelled", "dead")
REGIONS = ["north"] * 90 + ["South"] * 60 + ["south"] * 50 + ["east"] * 8 + [""] * 4


def table() -> bytes:
    """Make a CSV in which what counts depends on the region; two regions read alike, one is rare, some are missing."""
    dice = random.Random(3)
    lines = ["a,b,region,code,day,great"]
    for number, region in enumerate(REGIONS):
        a, b = dice.uniform(-1, 1), dice.uniform(-1, 1)
        sum_ = (a + b if region == "north" else a - b) + dice.gauss(0, 0.3)
        day = f"2026-01-{number % 28 + 1:02}"
        lines.append(f"{round(a, 4)},{round(b, 4)},{region},{number % 2},{day},{'yes' if sum_ > 0.1 else 'no'}")
    return ("\n".join(lines) + "\n").encode()


ORDER: dict[str, Any] = {
    "dataset": "sales@1",
    "target": "great",
    "problem": "classification",
    "estimator": {"name": "LogisticRegression", "params": {"max_iter": 200}},
    "validation": {"method": "cross_validation", "folds": 3, "seed": 4},
}


@pytest.fixture
def stocked(client: Client) -> Client:
    """A client of a home with one dataset."""
    sample_data.load(client, "sales", table())
    return client


def start(client: Client, **order: Any) -> dict[str, Any]:
    """Submit a training per value and take its first turn."""
    asked = {name: value for name, value in {**ORDER, "per": "region", **order}.items() if value is not None}
    accepted = client.post("/v1/models/m", json=asked)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = accepted.get_json()
    worker.perform(job)
    return show(client, job)


def show(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """Read a job."""
    document: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").get_json()
    return document


def children(client: Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the jobs of the segments, in the order in which they were submitted."""
    listed = client.get("/v1/jobs?kind=training.segment&limit=100").get_json()["jobs"]
    return sorted((each for each in listed if each["links"]["parent"].endswith(job["id"])), key=lambda each: each["id"])


def go_on(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """Do what is left of a training, a child and a turn by turns."""
    while (job := show(client, job))["state"] not in ENDS:
        waiting = [each for each in children(client, job) if each["state"] == "queued"]
        if waiting:
            worker.perform(waiting[0])
        worker.perform(job)
    return job


def test_each_model_is_that_of_a_training_by_hand_and_is_compared_with_the_one_for_all(stocked: Client) -> None:
    job = start(stocked)
    assert job["state"] == "running"
    assert [value["value"] for value in job["interim"]["per"]["values"]] == ["north", "South", "south"]
    assert len(children(stocked, job)) == 4
    job = go_on(stocked, job)
    assert job["state"] == "succeeded", job["error"]
    result, per = job["result"], job["result"]["per"]
    by_hand = sample_data.done(stocked, stocked.post("/v1/models/all", json=ORDER))["result"]
    assert result["model"]["name"] == "m"
    assert result["metrics"] == by_hand["metrics"]
    values = {value["value"]: value for value in per["values"]}
    assert [value["rows"] for value in per["values"]] == [90, 60, 50, 8]
    for region in ("north", "South", "south"):
        where = {"where": f"region == '{region}'", "positive": result["positive"]}
        own = sample_data.done(stocked, stocked.post("/v1/models/own", json={**ORDER, **where}))["result"]
        name, version = values[region]["model"].split("@")
        kept = stocked.get(f"/v1/models/{name}/versions/{version}").get_json()
        assert kept["metrics"] == own["metrics"]
        assert kept["sha256"] == own["model"]["sha256"]
        assert kept["lineage"]["per"] == {"column": "region", "value": region}
        assert values[region]["metrics"]["roc_auc"] == own["metrics"]["roc_auc"]["mean"]
        assert values[region]["comparison"]["rows"] == values[region]["rows"]
    assert values["east"]["state"] == "left"
    assert values["east"]["reason"] == "fewer than 30 rows"
    assert {fold["rows"] for fold in values["north"]["comparison"]["folds"]} <= set(range(20, 40))
    assert values["north"]["comparison"]["verdict"] == "own"
    assert values["north"]["comparison"]["difference"] > values["north"]["comparison"]["spread"]
    assert per["overall"]["rows"] == 200
    assert per["switch"]["column"] == "region"
    assert per["switch"]["default"] == "m@1"
    assert per["switch"]["models"] == {value: values[value]["model"] for value in ("north", "South", "south")}
    assert per["switch"]["models"]["south"] == "m.south@1"
    assert len(set(per["switch"]["models"].values())) == 3
    assert set(per["recommended"]["models"]) == {
        value for value in per["switch"]["models"] if values[value]["comparison"]["verdict"] == "own"
    }
    assert any("4 rows have no 'region'" in note for note in result["notes"])


def test_a_value_whose_model_fails_falls_to_the_one_for_all(stocked: Client) -> None:
    # Only the smallest region has fewer rows in a fold than neighbours are asked for.
    job = go_on(stocked, start(stocked, estimator={"name": "KNeighborsClassifier", "params": {"n_neighbors": 36}}))
    assert job["state"] == "succeeded", job["error"]
    [failed] = [value for value in job["result"]["per"]["values"] if value["state"] == "failed"]
    assert failed["value"] == "south"
    assert "KNeighborsClassifier" in failed["reason"]
    assert set(job["result"]["per"]["switch"]["models"]) == {"north", "South"}
    assert any("the model of 'south' could not be trained" in note for note in job["result"]["notes"])


def test_a_retry_goes_on_from_the_models_that_are_there(stocked: Client) -> None:
    job = start(stocked)
    common, north, *others = children(stocked, job)
    worker.perform(north)
    assert stocked.post(f"/v1/jobs/{common['id']}/cancel").status_code == 202
    for other in others:
        worker.perform(other)
    job = go_on(stocked, job)
    assert job["state"] == "failed"
    assert "the model for all rows is missing: JobCancelledError" in job["error"]["message"]
    assert "m.north@1" in job["error"]["message"]
    again = stocked.post(f"/v1/jobs/{job['id']}/retry").get_json()
    worker.perform(again)
    assert [child["params"]["value"] for child in children(stocked, again)] == [None]
    again = go_on(stocked, again)
    assert again["state"] == "succeeded", again["error"]
    assert again["result"]["per"]["switch"]["models"]["north"] == "m.north@1"
    assert [version["version"] for version in stocked.get("/v1/models/m.north").get_json()["versions"]] == [1]


def test_a_cancelled_training_cancels_its_children_and_keeps_what_is_trained(stocked: Client) -> None:
    job = start(stocked)
    first, *others = children(stocked, job)
    worker.perform(first)
    assert stocked.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    assert show(stocked, job)["state"] == "cancelled"
    assert {show(stocked, child)["state"] for child in others} == {"cancelled"}
    assert stocked.get("/v1/models/m/versions/1").status_code == 200


def test_a_window_of_children_is_started_at_a_time(stocked: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.training.segments.conductor.WINDOW", 2)
    job = start(stocked)
    assert [child["params"]["value"] for child in children(stocked, job)] == [None, "north"]
    worker.perform(children(stocked, job)[0])
    worker.perform(job)
    assert [child["params"]["value"] for child in children(stocked, job)] == [None, "north", "South"]
    assert show(stocked, job)["progress"]["message"] == "1 of 4 models are trained"
    job = go_on(stocked, job)
    assert job["state"] == "succeeded", job["error"]
    assert len(children(stocked, job)) == 4


def test_a_feature_set_and_integers_under_a_condition(stocked: Client) -> None:
    recipe = {"steps": [{"op": "scale", "columns": ["a", "b"]}, {"op": "drop", "columns": ["region", "day"]}]}
    features = {"dataset": "sales@1", "recipe": recipe, "target": "great"}
    sample_data.done(stocked, stocked.post("/v1/features/f", json=features))
    order = {"dataset": None, "features": "f@1", "target": None, "per": "code", "where": 'region != "north"'}
    job = go_on(stocked, start(stocked, **order))
    assert job["state"] == "succeeded", job["error"]
    assert job["result"]["per"]["switch"]["models"] == {"0": "m.0@1", "1": "m.1@1"}
    assert job["result"]["where"]["rows"] == 118
    version = stocked.get("/v1/models/m.1/versions/1").get_json()
    assert version["lineage"]["per"] == {"column": "code", "value": 1}
    assert version["lineage"]["where"]["expression"] == 'region != "north"'
    evaluation = {"model": "m.1@1", "dataset": "sales@1"}
    result = sample_data.done(stocked, stocked.post("/v1/evaluations", json=evaluation))["result"]
    assert any("code == 1, but all rows are scored here" in warning for warning in result["warnings"])


def test_models_of_values_belong_to_their_tenant(stocked: Client, keyring: dict[str, str]) -> None:
    go_on(stocked, start(stocked))
    stranger = client_of(stocked.application, keyring["stranger"])
    assert stranger.get("/v1/models/m.north").status_code == 404


@pytest.mark.parametrize(
    ("order", "told", "pointer"),
    [
        ({"per": "regoin"}, "did you mean 'region'", "#/per"),
        ({"per": "a"}, "text, booleans or integers, but 'a' is of type number", "#/per"),
        ({"per": "day"}, "is of type date", "#/per"),
        ({"per": "great"}, "column 'great' is the target", "#/per"),
        ({"validation": {"method": "cross_validation", "group": "region"}}, "column 'region' is the group", "#/per"),
        ({"sample_weight": "code", "per": "code"}, "column 'code' is the sample_weight", "#/per"),
        ({"per": ""}, "at least 1 character", "#/per"),
        ({"least_per_rows": 1}, "greater than or equal to 2", "#/least_per_rows"),
        ({"estimator": None, "estimators": "auto"}, "`per` can't be combined with a search", ""),
        (
            {"problem": "clustering", "target": None, "estimator": {"name": "KMeans"}, "validation": None},
            "this clustering has none",
            "",
        ),
    ],
)
def test_what_can_not_be_trained_per_value_is_refused_at_the_door(
    stocked: Client, order: dict[str, Any], told: str, pointer: str
) -> None:
    asked = {name: value for name, value in {**ORDER, "per": "region", **order}.items() if value is not None}
    problem = problem_of(stocked.post("/v1/models/m", json=asked), 422)
    assert told in str(problem)
    assert pointer in str(problem)


def test_a_name_without_room_for_values_is_refused(stocked: Client) -> None:
    problem = problem_of(stocked.post(f"/v1/models/{'m' * 41}", json={**ORDER, "per": "region"}), 422)
    assert "at most 40 characters" in str(problem)


def test_values_without_enough_rows_fail_the_job_before_anything_is_trained(stocked: Client) -> None:
    job = start(stocked, least_per_rows=91)
    assert job["state"] == "failed"
    assert "no value of column 'region' has rows enough for a model of its own" in job["error"]["message"]
    assert children(stocked, job) == []
