"""`latest` in a path stands for a thing's newest version, wherever a version is read or worked on."""

import flask.testing
import pytest

from tests.integration.steps import problem_of

Client = flask.testing.FlaskClient


@pytest.mark.parametrize(("path", "number"), [("datasets/things", 2), ("features/shape", 1), ("models/greatness", 1)])
def test_latest_is_the_newest_version(populated: Client, path: str, number: int) -> None:
    latest = populated.get(f"/v1/{path}/versions/latest").get_json()
    assert latest["version"] == number
    assert latest == populated.get(f"/v1/{path}/versions/{number}").get_json()


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("datasets/things/versions/{}/rows", 2),
        ("datasets/things/versions/{}/content?format=csv", 2),
        ("models/greatness/versions/{}/lineage", 1),
        ("models/greatness/versions/{}/exports", 1),
        ("models/greatness/versions/{}/export", 1),
    ],
)
def test_latest_is_read_in_every_route_of_a_version(populated: Client, path: str, number: int) -> None:
    latest, numbered = (populated.get(f"/v1/{path.format(version)}") for version in ("latest", number))
    assert (latest.status_code, latest.data) == (200, numbered.data)


def test_jobs_of_latest_are_of_its_number(populated: Client) -> None:
    url = "/v1/models/greatness/versions/latest"
    made = populated.post(f"{url}/exports", json={"format": "onnx"})
    assert made.get_json()["params"]["model"] == "greatness@1"
    updated = populated.post(f"{url}/updates", json={"dataset": "things@1"})
    assert updated.status_code == 422 or updated.get_json()["params"]["model"] == "greatness@1"


def test_what_is_no_version_is_not_found_and_latest_is_not_deleted(populated: Client) -> None:
    for path in ("datasets/nothing", "features/nothing", "models/nothing"):
        problem_of(populated.get(f"/v1/{path}/versions/latest"), 404)
    for label in ("newest", "-1", "1.5", "Latest"):
        problem_of(populated.get(f"/v1/datasets/things/versions/{label}"), 404)
    for number in (0, 2**31, "9" * 20):
        problem_of(populated.get(f"/v1/datasets/things/versions/{number}"), 422)
    problem_of(populated.delete("/v1/datasets/things/versions/latest"), 405)
    assert populated.get("/v1/datasets/things/versions/2").status_code == 200
