"""create_app(settings): the only wiring of the door."""

import importlib
from typing import Any

import flask
import flask_openapi

from api import auth, bodies, docs, documents, door, errors, health, jobs, limits, services
from shared import roles, settings, telemetry

_RESPONSES: Any = {
    str(status): {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, description in {
        400: "The request can't be read",
        401: "A valid key is needed",
        403: "The key's scopes don't allow this",
        404: "There is no such thing",
        405: "The path does not take this method",
        409: "Its state does not allow this",
        413: "The body is too large",
        415: "The body's type is not taken",
        422: "The request is not as needed",
        429: "Too many requests, or too many queued jobs",
        500: "Something unforeseen; the log has it",
        503: "Something that this needs is down",
    }.items()
}


class _Application(flask_openapi.OpenAPI):
    request_class = bodies.Request


def create_app(config: settings.Settings | None = None) -> flask.Flask:
    """Make the application."""
    config = config or settings.load()
    telemetry.configure(config.log_level)
    app = _Application(
        "api",
        info={"title": "Millrace", "version": "1.0.0", "description": "Machine-learning work as queued microservices."},
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        responses=_RESPONSES,
        validation_error_status=422,
        validation_error_model=documents.Problem,
        validation_error_callback=errors.invalid_response,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.config["MAX_FORM_PARTS"] = 1
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.extensions["door"] = door.open_door(config)
    errors.register(app)
    app.before_request(limits.count)
    app.before_request(auth.check)
    app.before_request(limits.check)
    app.after_request(limits.observe)
    for blueprint in (jobs.jobs, services.services, health.health):
        app.register_api(blueprint)
    for role in roles.ROLES:
        for blueprint in importlib.import_module(f"api.{role}.routes").BLUEPRINTS:
            app.register_api(blueprint)
    docs.register(app)
    return app
