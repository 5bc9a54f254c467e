"""Lists of models' versions and of evaluations, filtered by model, dataset, metric and time, and sorted by a metric."""

import datetime
from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data, worker
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
DUMMY = {"estimator": {"name": "DummyClassifier", "params": {"strategy": "stratified"}}}


@pytest.fixture
def several(populated: Client) -> Client:
    """Create a home with three versions of a model, one on other data, another model, and three evaluations."""
    for name, dataset, changes in (
        ("greatness", "things@2", {}),
        ("greatness", "things@1", DUMMY),
        ("size", "things@1", {"problem": "regression", "target": "a", "estimator": {"name": "LinearRegression"}}),
    ):
        order = {**sample_data.TRAINING, "dataset": dataset, **changes}
        sample_data.done(populated, populated.post(f"/v1/models/{name}", json=order))
    for model, dataset in (("greatness@3", "things@1"), ("size@1", "things@2")):
        order = {"model": model, "dataset": dataset}
        sample_data.done(populated, populated.post("/v1/evaluations", json=order))
    return populated


def follow(client: Client, path: str, *, items: str, query: str) -> list[dict[str, Any]]:
    """Read a list to its end, two items at a time."""
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        response = client.get(f"{path}?limit=2&{query}{cursor}")
        assert response.status_code == 200, response.text
        page = response.get_json()
        seen += page[items]
        if page["next_cursor"] is None:
            return seen
        cursor = f"&cursor={page['next_cursor']}"


def labels(client: Client, path: str, query: str = "") -> list[str]:
    """List versions as references."""
    return [f"{item['name']}@{item['version']}" for item in follow(client, path, items="versions", query=query)]


def evaluated(client: Client, query: str = "") -> list[str]:
    """List the models of evaluations."""
    return [item["model"] for item in follow(client, "/v1/evaluations", items="evaluations", query=query)]


def test_versions_of_all_models_are_listed_filtered_and_sorted(several: Client) -> None:
    everything, greatness = "/v1/model-versions", "/v1/models/greatness"
    assert labels(several, everything) == ["size@1", "greatness@3", "greatness@2", "greatness@1"]
    assert labels(several, greatness) == ["greatness@3", "greatness@2", "greatness@1"]
    assert labels(several, greatness, "dataset=things@2") == ["greatness@2"]
    assert labels(several, everything, "dataset=things") == labels(several, everything)
    assert labels(several, everything, "dataset=other") == labels(several, greatness, "dataset=other") == []

    values = {item["version"]: item["metrics"]["roc_auc"]["mean"] for item in page_of(several, greatness)}
    best = sorted(values, key=lambda version: (values[version], version), reverse=True)
    assert labels(several, greatness, "sort=-roc_auc") == [f"greatness@{version}" for version in best]
    assert labels(several, greatness, "sort=roc_auc") == [f"greatness@{version}" for version in best[::-1]]
    # What lacks the metric comes last.
    assert labels(several, everything, "sort=-roc_auc") == [*(f"greatness@{version}" for version in best), "size@1"]
    assert labels(several, everything, "sort=-r2")[0] == "size@1"
    bound = f"metric=roc_auc>={values[best[1]]}"
    assert set(labels(several, everything, bound)) == {f"greatness@{version}" for version in best[:2]}
    assert labels(several, everything, f"{bound}&dataset=things@2&sort=-roc_auc") == ["greatness@2"]
    assert labels(several, everything, "metric=roc_auc<2,roc_auc>1") == []
    assert labels(several, everything, 'metric=["roc_auc>=0", "roc_auc<=1"]') == labels(several, greatness)


def page_of(client: Client, path: str) -> list[dict[str, Any]]:
    """Read the first page of versions."""
    versions: list[dict[str, Any]] = client.get(path).get_json()["versions"]
    return versions


def test_evaluations_are_filtered_and_sorted(several: Client) -> None:
    assert evaluated(several) == ["size@1", "greatness@3", "greatness@1"]
    assert evaluated(several, "model=greatness") == ["greatness@3", "greatness@1"]
    assert evaluated(several, "model=greatness@1") == ["greatness@1"]
    assert evaluated(several, "dataset=things@2") == ["size@1"]
    assert evaluated(several, "model=size&dataset=things@1") == []
    assert evaluated(several, "sort=-roc_auc") == ["greatness@1", "greatness@3", "size@1"]
    assert evaluated(several, "sort=roc_auc&model=greatness") == ["greatness@3", "greatness@1"]
    assert evaluated(several, "metric=r2>-100") == ["size@1"]


def test_lists_are_of_a_time(several: Client) -> None:
    shown = several.get("/v1/evaluations").get_json()["evaluations"]
    middle = shown[1]["created_at"]
    assert evaluated(several, f"since={middle}") == ["size@1", "greatness@3"]
    assert evaluated(several, f"until={middle}") == ["greatness@1"]
    assert evaluated(several, f"until={middle}&sort=-roc_auc") == ["greatness@1"]
    versions = page_of(several, "/v1/model-versions")
    middle = versions[1]["created_at"]
    for path in ("/v1/model-versions", "/v1/models/greatness"):
        assert labels(several, path, f"until={middle}") == ["greatness@2", "greatness@1"]
    offset = datetime.datetime.fromisoformat(middle).astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    assert labels(several, "/v1/model-versions", f"since={offset.isoformat()}") == ["size@1", "greatness@3"]


@pytest.mark.parametrize("path", ["/v1/evaluations", "/v1/model-versions", "/v1/models/greatness"])
@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("sort=roc_ouch", "#/sort", "roc_auc"),
        ("sort=-", "#/sort", "roc_auc"),
        ("metric=roc_ouch>0", "#/metric", "roc_auc"),
        ("metric=[1]", "#/metric", "10 conditions"),
        ("metric=[", "#/metric", "JSON"),
        ("metric=roc_auc", "#/metric", "roc_auc>=0.8"),
        ("metric=roc_auc>=x", "#/metric", "roc_auc>=0.8"),
        ("metric=roc_auc>=nan", "#/metric", "roc_auc>=0.8"),
        ("dataset=UP", "#/dataset", "churn@3"),
        ("since=tomorrow", "#/since", "RFC 3339"),
        ("until=99999-01-01", "#/until", "RFC 3339"),
    ],
)
def test_what_can_not_be_filtered_or_sorted_by_is_refused(
    populated: Client, path: str, query: str, pointer: str, said: str
) -> None:
    [error] = problem_of(populated.get(f"{path}?{query}"), 422)["errors"]
    assert error["pointer"] == pointer
    assert said in error["detail"]


def test_a_cursor_of_another_list_is_refused(several: Client) -> None:
    cursor = several.get("/v1/evaluations?limit=1&sort=-roc_auc").get_json()["next_cursor"]
    for path in ("/v1/evaluations?", "/v1/evaluations?sort=roc_auc&", "/v1/model-versions?sort=-roc_auc&"):
        assert "next_cursor" in problem_of(several.get(f"{path}cursor={cursor}"), 400)["detail"]


def test_a_model_that_is_missing_is_404_and_one_without_matches_is_empty(populated: Client) -> None:
    problem_of(populated.get("/v1/models/nobody?sort=-roc_auc"), 404)
    assert populated.get("/v1/models/greatness?metric=roc_auc>1").get_json()["versions"] == []


def test_a_deleted_version_is_in_no_list(several: Client) -> None:
    assert several.delete("/v1/models/greatness/versions/3").status_code == 204
    for query in ("", "sort=-roc_auc", "metric=roc_auc>=0"):
        assert "greatness@3" not in labels(several, "/v1/model-versions", query)


def test_jobs_are_listed_by_what_they_use_or_make(several: Client) -> None:
    def kinds_of(query: str) -> list[str]:
        return [item["kind"] for item in follow(several, "/v1/jobs", items="jobs", query=query)]

    scores, fits = ["evaluation.score"], ["training.fit"]
    assert kinds_of("model=size") == scores + fits
    assert kinds_of("model=size@1") == scores
    assert kinds_of("model=greatness@1") == ["prediction.batch", *scores]
    assert kinds_of("model=greatness&kind=training.fit") == fits * 3
    assert kinds_of("dataset=things@2") == scores + fits
    assert kinds_of("dataset=things@2&model=size") == scores
    assert kinds_of("dataset=guesses") == ["prediction.batch"]
    assert kinds_of("dataset=shaped") == ["processing.apply"]
    assert kinds_of("dataset=things")[-2:] == ["ingestion.load"] * 2
    assert kinds_of("dataset=none") == kinds_of("model=none") == []
    # No tag that a user can give is one of these, and none is shown as a tag.
    problem_of(several.get("/v1/jobs?tag=%1fmodel=size"), 422)
    jobs = several.get("/v1/jobs?model=size").get_json()["jobs"]
    assert [job["tags"] for job in jobs] == [[], []]
    middle = jobs[0]["created_at"]
    assert kinds_of(f"since={middle}&model=size") == scores
    assert kinds_of(f"until={middle}&model=size") == fits
    assert len(kinds_of("until=2020-01-01")) == 0
    assert kinds_of("since=2020-01-01") == kinds_of("until=2100-01-01") == kinds_of("")
    problem_of(several.get("/v1/jobs?model=UP"), 422)


def test_a_job_that_is_retried_is_listed_as_before(populated: Client) -> None:
    accepted = populated.post("/v1/models/again", json=sample_data.TRAINING)
    worker.perform(accepted.get_json(), body=worker.fail)
    retried = populated.post(f"{accepted.headers['Location']}/retry").get_json()
    for query in ("model=again", "dataset=things@1&kind=training.fit&state=queued"):
        listed = populated.get(f"/v1/jobs?{query}").get_json()["jobs"]
        assert listed[0]["id"] == retried["id"]
