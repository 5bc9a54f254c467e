"""The OpenAPI document, and a page to read it with whose assets are served from here."""

import pathlib
from typing import Any

import flask
import flask_openapi_swagger

from api import answers, auth

_ASSETS = pathlib.Path(flask_openapi_swagger.__file__).parent / "templates" / "swagger"
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Millrace API</title>
<link rel="stylesheet" href="/docs/css/swagger-ui.css"></head>
<body><div id="swagger"></div>
<script src="/docs/js/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script></body>
</html>
"""
_START = """window.onload = () => SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger", validatorUrl: null});
"""
_PROBLEMS = {
    400: "The request can't be read",
    401: "A valid key is needed",
    403: "The key's scopes don't allow this",
    404: "There is no such thing",
    409: "Its state does not allow this",
    411: "The body's length is needed",
    413: "The body is too large",
    415: "The body's type is not taken",
    422: "The request is not as needed",
    429: "Too many requests, or too many queued jobs",
    500: "Something unforeseen; the log has it",
    503: "Something that this needs is down",
}
_ABOUT = {
    "Idempotency-Key": "A quoted string; the same request with the same key gives the same jobs, for 24 hours.",
    "Prefer": "`wait=N` waits up to N seconds, at most 60, for the end of the job.",
    "If-None-Match": "The `ETag` of the answer that the client has.",
}
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


def register(app: Any) -> None:
    """Add the document and the page to an application."""
    app.add_url_rule("/openapi.json", "openapi", auth.public(lambda: answers.json(document(app))))
    app.add_url_rule("/docs", "docs", auth.public(_page))
    app.add_url_rule("/docs/start.js", "docs_start", auth.public(_start))
    app.add_url_rule("/docs/<path:name>", "docs_asset", auth.public(_asset))


def document(app: Any) -> dict[str, Any]:
    """Give the OpenAPI document: flask-openapi's, with what all our operations have in common."""
    made: dict[str, Any] = app.api_doc
    if "security" in made:
        return made
    made["security"] = [{"key": []}]
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if not path.startswith("/v1"):
                operation["security"] = []
            operation["parameters"] = [*operation.get("parameters", []), *_headers(path, operation)]
            # flask-openapi gives each operation a response of its own to what is not valid; ours is another.
            del operation["responses"]["422"]
            operation["responses"] |= {str(status): _problem(status) for status in _problems(path, operation)}
    return made


def _headers(path: str, operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the headers that an operation reads, which its answers tell: a job that is made, waited for or unchanged."""
    answers_with = operation["responses"]
    names = {
        "Idempotency-Key": "202" in answers_with and not path.endswith("/cancel"),
        "Prefer": {"200", "202"} <= set(answers_with),
        "If-None-Match": "304" in answers_with,
    }
    return [
        {"name": name, "in": "header", "required": False, "description": _ABOUT[name], "schema": {"type": "string"}}
        for name, is_read in names.items()
        if is_read
    ]


def _problems(path: str, operation: dict[str, Any]) -> set[int]:
    """Give the problems that an operation can answer, beside what it says itself."""
    if not path.startswith("/v1"):
        return {400, 500}
    statuses = {400, 401, 403, 422, 429, 500, 503}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {413, 415}
    if path == "/v1/datasets/{name}" and "requestBody" in operation:
        statuses.add(411)
    if path.endswith(("/cancel", "/retry")):
        statuses.add(409)
    return statuses


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _page() -> flask.Response:
    response = flask.Response(_PAGE, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _start() -> flask.Response:
    return flask.Response(_START, content_type="text/javascript; charset=utf-8")


def _asset(name: str) -> flask.Response:
    return flask.send_from_directory(_ASSETS, name, max_age=3600)
