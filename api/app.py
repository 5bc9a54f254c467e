"""create_app(settings): the only wiring of the API."""

import importlib
import types

import flask
import flask_openapi

from api import (
    auth,
    bodies,
    context,
    docs,
    documents,
    errors,
    health,
    jobs,
    polls,
    queries,
    rate_limits,
    responses,
    services,
    version_converter,
)
from shared import roles, settings, telemetry


class _Application(flask_openapi.OpenAPI):
    request_class = bodies.Request
    response_class = responses.Response


def create_app(config: settings.Settings | None = None) -> flask.Flask:
    """Create the application."""
    app = create_routes()
    configure(app, config or settings.load())
    return app


def create_routes() -> flask.Flask:
    """Create an application that knows its routes and nothing of the settings, which `configure` tells it."""
    app = _Application(
        "api",
        info={"title": "Millrace", "version": "1.0.0", "description": "Machine-learning work as queued microservices."},
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        validation_error_status=422,
        validation_error_model=documents.Problem,
        validation_error_callback=errors.invalid_response,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.config["MAX_FORM_PARTS"] = 1
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.url_map.converters["version"] = version_converter.VersionConverter
    errors.register(app)
    app.before_request(rate_limits.start_timer)
    app.before_request(bodies.check_url)
    app.before_request(auth.check)
    app.before_request(rate_limits.check_rate)
    app.before_request(queries.check)
    app.after_request(rate_limits.observe)
    for blueprint in (jobs.blueprint, services.blueprint, health.blueprint):
        app.register_api(blueprint)
    for role in (*roles.ROLES, "events"):
        for blueprint in importlib.import_module(f"api.{role}.routes").BLUEPRINTS:
            app.register_api(blueprint)
    docs.register(app)
    return app


def configure(app: flask.Flask, config: settings.Settings) -> None:
    """Let an application work with the databases and limits of these settings from now on."""
    telemetry.configure(config.log_level)
    rate_limits.check_setting(config.rate_limit)
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_bytes
    app.extensions["millrace"] = current = context.create(config)
    health.configure(app, current)
    # Flask documents this assignment as the way to add WSGI middleware.
    flasks = types.MethodType(flask.Flask.wsgi_app, app)
    app.wsgi_app = polls.PollMiddleware(app, flasks)  # type: ignore[method-assign]
