"""Names that would be paths, programs or pages elsewhere are data here; and addresses that say odd things."""

import flask
import flask.testing
import pytest

from tests.integration import sample_data
from tests.integration.steps import client_of, parts_of, problem_of

Client = flask.testing.FlaskClient

HOSTILE = {
    "a path": "../x",
    "dots": "..",
    "escaped dots": "%2e%2e%2f",
    "twice escaped": "%252e%252e",
    "absolute": "/etc/passwd",
    "a file": "file:///etc/passwd",
    "NUL": "a%00b",
    "300 characters": "a" * 300,
    "right-to-left mark": "a%E2%80%8Fb",
    "newline": "a%0Ab",
    "at its end": "a%0A",
    "a command": "$(id)",
    "a page": "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "SQL": "a'%20OR%201=1--",
    "a surrogate": "%ED%A0%80",
    "no UTF-8": "%FF",
    "a backslash": "a%5C..%5Cb",
    "upper case": "Things",
    "a semicolon": "a;b",
    "a space": "a%20b",
    "a template": "{{7*7}}",
}
ROUTES = [
    ("GET", "/v1/datasets/{}"),
    ("POST", "/v1/datasets/{}"),
    ("GET", "/v1/datasets/{}/versions/1"),
    ("GET", "/v1/datasets/{}/versions/1/content"),
    ("DELETE", "/v1/datasets/{}/versions/1"),
    ("GET", "/v1/features/{}"),
    ("POST", "/v1/features/{}"),
    ("POST", "/v1/features/{}/apply"),
    ("GET", "/v1/models/{}"),
    ("POST", "/v1/models/{}"),
    ("PUT", "/v1/models/{}/aliases/best"),
    ("PUT", "/v1/models/greatness/aliases/{}"),
    ("DELETE", "/v1/models/greatness/aliases/{}"),
    ("GET", "/v1/models/greatness/aliases/{}/history"),
    ("GET", "/v1/models/{}/aliases"),
    ("GET", "/v1/models/{}/compare?versions=1,2"),
    ("GET", "/v1/models/{}/versions/1/lineage"),
    ("POST", "/v1/models/{}/versions/1/exports"),
    ("GET", "/v1/models/{}/versions/1/export"),
    ("GET", "/v1/jobs/{}"),
    ("GET", "/v1/jobs/{}/events"),
    ("POST", "/v1/jobs/{}/cancel"),
    ("GET", "/v1/evaluations/{}"),
]


@pytest.mark.parametrize("sort", HOSTILE)
def test_a_hostile_name_in_a_path_is_refused_on_every_route(client: Client, sort: str) -> None:
    for method, route in ROUTES:
        response = client.open(route.format(HOSTILE[sort]), method=method, json={})
        assert response.status_code in {400, 404, 405, 415, 422}, (method, route)
        problem_of(response, response.status_code)
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("sort", HOSTILE)
def test_a_hostile_name_in_a_body_is_refused_with_the_value_seen(client: Client, sort: str) -> None:
    name = HOSTILE[sort]
    order = {**sample_data.TRAINING, "name": name}
    found = problem_of(client.post("/v1/jobs", json={"kind": "training.fit", "params": order}), 422)["errors"]
    assert found[0]["pointer"] == "#/params/name"
    assert repr(name)[:100] in found[0]["detail"]
    reference = {"model": f"{name}@1", "dataset": "things@1"}
    found = problem_of(client.post("/v1/predictions", json=reference), 422)["errors"]
    assert found[0]["pointer"] == "#/model"


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a..b", "x" * 63, "nul", "latest"])
def test_names_that_only_look_odd_are_taken(client: Client, name: str) -> None:
    sample_data.load(client, name, b"a\n1\n")
    assert client.get(f"/v1/datasets/{name}/versions/1/rows").get_json()["rows"] == [{"a": 1}]


@pytest.mark.parametrize("column", ["=cmd()", "../x", "<script>", "a\u202eb", "$(id)", "x" * 300])
def test_hostile_column_names_and_cells_are_data(client: Client, column: str) -> None:
    sample_data.load(client, "odd", f'"{column}",b\n"{column}",1\n"{column}",2\n'.encode())
    [first, _] = client.get("/v1/datasets/odd/versions/1/rows").get_json()["rows"]
    assert first == {column: column, "b": 1}
    assert client.get("/v1/datasets/odd/versions/1/content?format=csv").status_code == 200


@pytest.mark.parametrize("reference", ["things", "things@", "@1", "things@1@2", "things@-1", "things@1.5.", "things@9"])
def test_a_reference_to_no_version_is_422(populated: Client, reference: str) -> None:
    order = {**sample_data.TRAINING, "dataset": reference}
    problem_of(populated.post("/v1/models/m", json=order), 422)


@pytest.mark.parametrize(
    "number", ["0", "-1", "abc", "1.5", "2147483648", "99999999999999999999", "9" * 5000, "1e3", "%31%30%30", "+1", ""]
)
def test_a_version_that_is_no_version_is_a_problem(populated: Client, number: str) -> None:
    response = populated.get(f"/v1/datasets/things/versions/{number}")
    problem_of(response, response.status_code)
    assert response.status_code in {404, 422}


@pytest.mark.parametrize("limit", ["-1", "0", "501", "1e9", "1000000000", "abc", "", "1.5", "%00", "9" * 5000])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/datasets/things", "/v1/models", "/v1/evaluations"])
def test_a_limit_out_of_bounds_is_a_problem_that_points_at_it(populated: Client, path: str, limit: str) -> None:
    status = 400 if limit == "%00" else 422
    document = problem_of(populated.get(f"{path}?limit={limit}"), status)
    assert status == 400 or document["errors"][0]["pointer"] == "#/limit"


@pytest.mark.parametrize("cursor", ["x", "MjphYg", "%00", "é", "=", "1:a", "a" * 201, "MTonIE9SIDE9MQ", "..%2F.."])
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets", "/v1/datasets/things", "/v1/evaluations"])
def test_a_cursor_that_is_not_ours_is_a_problem(populated: Client, path: str, cursor: str) -> None:
    response = populated.get(f"{path}?cursor={cursor}")
    assert response.status_code == (422 if len(cursor) > 200 else 400)
    assert "cursor" in problem_of(response, response.status_code)["detail"] or cursor == "%00"


@pytest.mark.parametrize(
    "query",
    ["kind=training.%00", "role=%00", "tag=%00", "tag=a%0Ab", "state=%00", "%00=1", "role=api", "state=done", "more=1"],
)
def test_a_hostile_filter_is_a_problem(client: Client, query: str) -> None:
    response = client.get(f"/v1/jobs?{query}")
    assert response.status_code in {400, 422}
    problem_of(response, response.status_code)


@pytest.mark.parametrize("query", ["delimiter=%00", "delimiter=ab", "encoding=" + "x" * 41, "types={", "types=[]"])
def test_hostile_options_of_an_upload_are_a_problem_and_leave_no_bytes(
    app: flask.Flask, client: Client, query: str
) -> None:
    response = client.post(f"/v1/datasets/d?{query}", data=b"a\n1\n", content_type="text/csv")
    assert response.status_code in {400, 422}
    problem_of(response, response.status_code)
    folder = parts_of(app).config.storage_path()
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_query_that_says_a_thing_twice_is_400(client: Client) -> None:
    assert "'limit' 2 times" in problem_of(client.get("/v1/jobs?limit=1&limit=2"), 400)["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs/", "/v1//jobs", "//v1/jobs", "/v1/jobs/x/", "/V1/jobs", "/v1/jobs;x=1"])
def test_a_path_that_is_nearly_right_is_404_and_no_redirect(client: Client, path: str) -> None:
    response = client.get(path)
    problem_of(response, response.status_code)
    assert response.status_code in {403, 404}


def test_a_percent_encoded_name_is_the_name(populated: Client) -> None:
    assert populated.get("/v1/datasets/%74hings").get_json()["name"] == "things"


@pytest.mark.parametrize("path", ["/docs/../app.py", "/docs/%2e%2e/%2e%2e/app.py", "/docs//etc/passwd", "/docs/%00"])
def test_the_docs_page_serves_no_file_of_ours(app: flask.Flask, path: str) -> None:
    response = client_of(app, None).get(path)
    problem_of(response, response.status_code)
    assert response.status_code in {400, 404}
