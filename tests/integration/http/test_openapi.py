"""The OpenAPI document says what the routes do: it is valid, it is whole, and answers are as it says."""

import re
from typing import Any

import flask
import flask.testing
import jsonschema
import openapi_spec_validator
import pytest

from tests.integration.steps import client_of

pytestmark = pytest.mark.judge

Client = flask.testing.FlaskClient
ABOUT_ITSELF = {"/openapi.json", "/docs", "/docs/start.js", "/docs/<path:name>"}


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").get_json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert list(openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_the_document_has_every_route_and_every_route_is_in_it(app: flask.Flask, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in ABOUT_ITSELF
    }
    described = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert routes == described


def test_operations_are_named_once_and_their_paths_have_their_parameters(document: dict[str, Any]) -> None:
    operations = [(path, one) for path, methods in document["paths"].items() for one in methods.values()]
    names = [one["operationId"] for _, one in operations]
    assert len(set(names)) == len(names)
    for path, one in operations:
        given_in_path = {parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"}
        assert given_in_path == set(re.findall(r"{(\w+)}", path))
        assert one["summary"].endswith(".")


def test_every_answer_has_a_schema_and_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for one in methods.values():
            for status, response in one["responses"].items():
                if status in {"204", "304"}:
                    assert "content" not in response
                    continue
                for kind, content in response["content"].items():
                    assert content["schema"], (path, status)
                    if int(status) >= 400 and path != "/readyz":
                        assert kind == "application/problem+json"
                        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_only_what_needs_no_key_says_so(app: flask.Flask, document: dict[str, Any]) -> None:
    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for one in methods.values():
            # Metrics need no key on this host.
            expected: list[dict[str, list[str]]] | None
            expected = None if path.startswith("/v1") else [{}, {"key": []}] if path == "/metrics" else []
            assert one.get("security") == expected


def test_jobs_say_which_headers_they_read(document: dict[str, Any]) -> None:
    def headers(path: str, method: str) -> set[str]:
        parameters = document["paths"][path][method]["parameters"]
        return {parameter["name"] for parameter in parameters if parameter["in"] == "header"}

    story = "Millrace-Correlation-Id"
    assert headers("/v1/jobs", "post") == {"Idempotency-Key", "Prefer", story}
    assert headers("/v1/models/{name}", "post") == {"Idempotency-Key", "Prefer", story}
    assert headers("/v1/jobs/batch", "post") == headers("/v1/jobs/{job_id}/retry", "post") == {"Idempotency-Key", story}
    assert headers("/v1/jobs/{job_id}/cancel", "post") == {story}
    assert headers("/v1/jobs/{job_id}", "get") == {"If-None-Match", "Prefer"}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs",
        "/v1/kinds",
        "/v1/services",
        "/v1/datasets",
        "/v1/datasets/{name}",
        "/v1/datasets/{name}/versions/{version}",
        "/v1/datasets/{name}/versions/{version}/rows",
        "/v1/features",
        "/v1/features/{name}",
        "/v1/features/{name}/versions/{version}",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/models/{name}/versions/{version}",
        "/v1/evaluations",
        "/healthz",
        "/readyz",
    ],
)
def test_what_there_is_answers_as_the_document_says(populated: Client, path: str) -> None:
    document = populated.get("/openapi.json").get_json()
    sort = f"{path}//".split("/")[2]
    name = {"datasets": "things", "features": "shape", "models": "greatness"}.get(sort, "")
    answer = populated.get(path.replace("{name}", name).replace("{version}", "1"))
    assert answer.status_code == 200
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.get_json())


def test_the_docs_page_and_all_that_it_loads_come_from_here(app: flask.Flask) -> None:
    nobody = client_of(app, None)
    page = nobody.get("/docs")
    assert page.content_type.startswith("text/html")
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 3
    for asset in assets:
        assert asset.startswith("/docs/")
        with nobody.get(asset) as response:
            assert response.status_code == 200
            assert len(response.data) > 50
    assert "//" not in page.text.replace("//www.w3.org", "")
    start = nobody.get("/docs/start.js").text
    assert "/openapi.json" in start
    assert "//" not in start
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "http" not in page.headers["Content-Security-Policy"]
