"""Tags and a note of versions and evaluations: taken from the job, changed later, listed by, and kept in archives."""

from typing import Any

import flask.testing
import pytest

from tests.integration import sample_data
from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient
PATHS = {
    "datasets": "/v1/datasets/things/versions/1",
    "features": "/v1/features/shape/versions/1",
    "models": "/v1/models/greatness/versions/1",
    "predicted": "/v1/datasets/guesses/versions/1",
    "evaluations": "/v1/evaluations/{}",
}


def path_of(client: Client, what: str) -> str:
    """Return the path of what was made by the home's sample jobs."""
    return PATHS[what].format(client.get("/v1/evaluations").get_json()["evaluations"][0]["id"])


def list_of(path: str) -> tuple[str, str]:
    """Return the path of the list that shows it, and its field there."""
    if path.startswith("/v1/evaluations"):
        return "/v1/evaluations", "evaluations"
    return path.partition("/versions/")[0], "versions"


@pytest.mark.parametrize("what", PATHS)
def test_tags_and_a_note_are_changed_shown_and_listed_by(populated: Client, what: str) -> None:
    path = path_of(populated, what)
    before = populated.get(path).get_json()
    assert (before["tags"], before["note"]) == ([], None)
    changed = populated.patch(path, json={"tags": ["b", "a", "ü, ö", "a"], "note": "What we use."})
    expected = {**before, "tags": ["b", "a", "ü, ö"], "note": "What we use."}
    assert (changed.status_code, changed.get_json()) == (200, expected)
    assert populated.get(path).get_json() == expected
    list_path, items = list_of(path)
    for query in ({}, {"tag": "a"}, {"tag": "ü, ö"}):
        [shown, *_] = [
            item
            for item in populated.get(list_path, query_string=query).get_json()[items]
            if item.get("version", item.get("id")) == before.get("version", before.get("id"))
        ]
        assert (shown["tags"], shown["note"]) == (["b", "a", "ü, ö"], "What we use.")
    # What is left out stays; tags take the place of those before.
    assert populated.patch(path, json={"tags": ["c"]}).get_json()["note"] == "What we use."
    assert populated.patch(path, json={"note": None}).get_json()["tags"] == ["c"]
    assert populated.get(list_path, query_string={"tag": "a"}).get_json()[items] == []
    assert len(populated.get(list_path, query_string={"tag": "c"}).get_json()[items]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ({"tags": [""]}, "#/tags/0"),
        ({"tags": ["x" * 101]}, "#/tags/0"),
        ({"tags": ["a\nb"]}, "#/tags/0"),
        ({"tags": list(map(str, range(21)))}, "#/tags"),
        ({"tags": None}, "#/tags"),
        ({"note": "x" * 10_001}, "#/note"),
        ({"name": "other"}, "#/name"),
    ],
)
def test_what_can_be_no_tag_or_note_is_refused(populated: Client, body: dict[str, Any], pointer: str) -> None:
    [error] = problem_of(populated.patch(PATHS["models"], json=body), 422)["errors"]
    assert error["pointer"] == pointer
    assert populated.get(PATHS["models"]).get_json()["tags"] == []


def test_what_is_not_there_can_not_be_changed(populated: Client) -> None:
    for path in ("datasets/things/versions/9", "features/x/versions/1", "models/x/versions/1", "evaluations/x"):
        problem_of(populated.patch(f"/v1/{path}", json={"note": "x"}), 404)


def test_what_a_job_makes_has_the_tags_of_the_job(populated: Client) -> None:
    sample_data.done(populated, populated.post("/v1/models/greatness?tags=try,second", json=sample_data.TRAINING))
    shown = populated.get("/v1/models/greatness/versions/2").get_json()
    assert (shown["tags"], shown["note"]) == (["try", "second"], None)
    for query in ("tag=try", "tag=try&sort=-roc_auc", "tag=second&metric=roc_auc>0", "tag=try&dataset=things"):
        for path in ("/v1/model-versions", "/v1/models/greatness"):
            listed = populated.get(f"{path}?{query}").get_json()["versions"]
            assert [item["version"] for item in listed] == [2], (path, query)
    order = {"model": "greatness@2", "dataset": "things@1"}
    sample_data.done(populated, populated.post("/v1/evaluations?tags=try", json=order))
    for query in ("tag=try", "tag=try&sort=roc_auc"):
        listed = populated.get(f"/v1/evaluations?{query}").get_json()["evaluations"]
        assert [item["model"] for item in listed] == ["greatness@2"]
    assert populated.get("/v1/evaluations?tag=second").get_json()["evaluations"] == []
    loaded = sample_data.load(populated, "marked", query_string={"tags": "raw"})
    assert loaded["tags"] == ["raw"]
    assert populated.get("/v1/datasets/marked?tag=raw").get_json()["versions"][0]["tags"] == ["raw"]


def test_a_deleted_version_has_no_tags(populated: Client) -> None:
    sample_data.done(populated, populated.post("/v1/models/greatness?tags=try", json=sample_data.TRAINING))
    populated.delete("/v1/models/greatness/versions/2")
    for query in ("tag=try", "tag=try&sort=-roc_auc"):
        assert populated.get(f"/v1/models/greatness?{query}").get_json()["versions"] == []
