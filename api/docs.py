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
                operation["responses"] = {
                    status: response
                    for status, response in operation["responses"].items()
                    if status in {"200", "405", "500", "503"}
                }
    return made


def _page() -> flask.Response:
    response = flask.Response(_PAGE, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _start() -> flask.Response:
    return flask.Response(_START, content_type="text/javascript; charset=utf-8")


def _asset(name: str) -> flask.Response:
    return flask.send_from_directory(_ASSETS, name, max_age=3600)
