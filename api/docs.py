"""The OpenAPI document, and a page that shows it, whose assets are served from here."""

import pathlib
import threading
from typing import Any

import flask
import flask_openapi_swagger
import orjson

from api import auth, context, responses

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
_SCRIPT = """window.onload = () => SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger", validatorUrl: null});
"""
_PROBLEM_DESCRIPTIONS = {
    400: "The request is malformed",
    401: "A valid API key is required",
    403: "The key's scopes don't allow this",
    404: "Not found",
    409: "The resource's state doesn't allow this",
    411: "Content-Length is required",
    410: "It has been deleted, and comes back no more",
    412: "It has changed since the client read it",
    413: "The body is too large",
    415: "The body's media type is not supported",
    422: "The request is invalid",
    424: "With `fail=true` in `Prefer`: the job has ended without success, or the gate refuses; `job` is the job",
    429: "Too many requests, or too many queued jobs",
    500: "An unexpected error; the server's log has the details",
    503: "A service that this needs, such as a database, is unavailable",
    507: "The tenant's quota of stored bytes has no room for this; `quota_bytes` is the quota, `used_bytes` its use",
}
_HEADER_DESCRIPTIONS = {
    "Idempotency-Key": "A quoted string. For 24 hours, repeating a request with its key returns the jobs that the "
    "first one created.",
    "Prefer": "`wait=N` waits up to N seconds, at most 60, for the job to end. `wait=N; fail=true` answers 424 when it "
    "has ended without success, or its gate refuses; where the wait ends first 202, and 200 to a GET of the job.",
    "If-None-Match": "The `ETag` of the answer that the client already has.",
    "Millrace-Correlation-Id": "The story that this belongs to; its jobs, what they make and its events carry the id.",
    "If-Match": "The `ETag` that the client has read: change it only if nobody has changed it since.",
}
_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)


def register(app: Any) -> None:
    """Add the OpenAPI document and the page that shows it to an application."""
    app.add_url_rule("/openapi.json", "openapi", auth.public(lambda: _document(app)))
    app.add_url_rule("/docs", "docs", auth.public(_page))
    app.add_url_rule("/docs/start.js", "docs_start", auth.public(_script))
    app.add_url_rule("/docs/<path:name>", "docs_asset", auth.public(_asset))


def build_document(app: Any) -> dict[str, Any]:
    """Build the OpenAPI document: flask-openapi's, with what all our operations have in common."""
    openapi: dict[str, Any] = app.api_doc
    if "security" in openapi:
        return openapi
    openapi["security"] = [{"key": []}]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            if not path.startswith("/v1"):
                operation.setdefault("security", [])
            is_change = path.startswith("/v1") and method != "get"
            headers = _headers(path, operation, is_change=is_change)
            operation["parameters"] = [*operation.get("parameters", []), *headers]
            # flask-openapi adds its own response for invalid requests to each operation; ours replaces it.
            del operation["responses"]["422"]
            operation["responses"] |= {str(status): _problem(status) for status in _problem_statuses(path, operation)}
            if _can_wait(path, operation):
                operation["responses"]["424"] = _problem(424)
            if path.endswith("/logs"):
                operation["responses"]["200"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    return openapi


def _headers(path: str, operation: dict[str, Any], *, is_change: bool) -> list[dict[str, Any]]:
    """List the headers that an operation reads, which follow from the statuses that it answers with."""
    statuses = operation["responses"]
    is_read = {
        "Idempotency-Key": "202" in statuses and not path.endswith("/cancel"),
        "Prefer": _can_wait(path, operation),
        "If-None-Match": "304" in statuses,
        "Millrace-Correlation-Id": is_change,
        "If-Match": _changes_deployment(path, operation),
    }
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": _HEADER_DESCRIPTIONS[name],
            "schema": {"type": "string"},
        }
        for name in is_read
        if is_read[name]
    ]


def _can_wait(path: str, operation: dict[str, Any]) -> bool:
    """Tell whether an operation waits for a job's end when the client prefers that."""
    return {"200", "202"} <= set(operation["responses"]) or path == "/v1/jobs/{job_id}"


def _changes_deployment(path: str, operation: dict[str, Any]) -> bool:
    """Tell whether an operation changes a deployment, which takes a revision that the client has read."""
    if not path.startswith("/v1/deployments/{name}") or path.endswith(("/feedback", "/predictions")):
        return False
    return "requestBody" in operation or "204" in operation["responses"]


def _problem_statuses(path: str, operation: dict[str, Any]) -> set[int]:
    """List the statuses of the problems that an operation can answer with, beside those that it declares itself."""
    if not path.startswith("/v1"):
        return {400, 500, *((401, 403, 429, 503) if operation["security"] else ())}
    statuses = {400, 401, 403, 422, 429, 500, 503}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {413, 415}
    if path == "/v1/datasets/{name}" and "requestBody" in operation:
        statuses.add(411)
    if path.endswith(("/cancel", "/retry")):
        statuses.add(409)
    if _changes_deployment(path, operation):
        statuses |= {409, 412}
    if path == "/v1/events":
        statuses.add(410)
    if "202" in operation["responses"] and not path.endswith(("/cancel", "/prune", "/verify")):
        statuses.add(507)
    return statuses


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": _PROBLEM_DESCRIPTIONS[status],
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _page() -> flask.Response:
    response = flask.Response(_PAGE, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
    return response


def _script() -> flask.Response:
    return flask.Response(_SCRIPT, content_type="text/javascript; charset=utf-8")


def _document(app: Any) -> flask.Response:
    path = context.current().scratch.path / "openapi.json"
    if not path.exists():
        new = path.with_suffix(f".{threading.get_ident()}")
        new.write_bytes(orjson.dumps(build_document(app)))
        new.rename(path)
    return _from_file(flask.Response(path.read_bytes(), content_type="application/json"), path)


def _asset(name: str) -> flask.Response:
    return _from_file(flask.send_from_directory(_ASSETS, name, max_age=3600), _ASSETS / name)


def _from_file(response: flask.Response, path: pathlib.Path) -> flask.Response:
    """Tell the front of the file, so that a crowd of slow readers without a key costs no memory."""
    flask.request.environ[responses.PATH] = str(path)
    return response
