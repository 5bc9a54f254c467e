"""Answers every error as problem+json (RFC 9457); the only place that knows the HTTP status codes of errors."""

import http
import typing
from typing import Any

import flask
import orjson
import pydantic
import structlog
import werkzeug.exceptions

from api.intake import permitted_fields, validation
from shared import errors, faults, ids, telemetry

_log = structlog.get_logger()

STATUS: dict[type[errors.MillraceError], int] = {
    errors.MalformedRequestError: 400,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.GoneError: 410,
    errors.PreconditionFailedError: 412,
    errors.TooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.InvalidRequestError: 422,
    errors.IdempotencyMismatchError: 422,
    errors.UnsuccessfulError: 424,
    errors.TooManyRequestsError: 429,
    errors.UnavailableError: 503,
    errors.DownError: 503,
    errors.QuotaExceededError: 507,
}
_MAX_PROBLEMS = 50
_MAX_PATH_SHOWN = 200


def problem(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    slug: str | None = None,
    problems: list[errors.Problem] | None = None,
    instance: str | None = None,
    members: dict[str, Any] | None = None,
) -> flask.Response:
    """Build a response with a problem document, whose type ends with `slug`, by default made of the title.

    `members` are what the document has beside those that every problem has.
    """
    title = title or http.HTTPStatus(status).phrase
    document: dict[str, Any] = {
        "type": f"urn:millrace:problem:{slug or title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance or f"urn:ulid:{ids.new_ulid()}",
        **(members or {}),
    }
    if problems:
        document["errors"] = problems[:_MAX_PROBLEMS]
    body = orjson.dumps(document, default=str)
    return flask.Response(body, status=status, content_type="application/problem+json")


def _from_millrace(error: errors.MillraceError) -> flask.Response:
    status = next((code for error_class, code in STATUS.items() if isinstance(error, error_class)), 500)
    if status == 500:
        return _from_unexpected(error)
    response = problem(status, error.message, slug=_slug(type(error)), problems=error.problems, members=error.members)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="millrace"'
    return response


def _slug(error_class: type[Exception]) -> str:
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in error_class.__name__)
    return words.strip("-").removesuffix("-error")


def _from_http(error: werkzeug.exceptions.HTTPException) -> flask.Response:
    if error.response is not None and error.code is None:
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    if status < 400:
        return error.get_response()  # type: ignore[return-value]
    response = problem(status, _detail(error, status))
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _detail(error: werkzeug.exceptions.HTTPException, status: int) -> str:
    path = flask.request.path[:_MAX_PATH_SHOWN]
    if status == 404:
        return f"There is no route {path!r}; GET /openapi.json lists all routes."
    if status == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
        return f"{path!r} does not support {flask.request.method}; it supports {allowed or 'no method'}."
    if status == 413:
        return f"The body is larger than {flask.request.max_content_length} bytes, the largest that is accepted here."
    return error.description or ""


def _from_unexpected(error: Exception) -> flask.Response:
    """Answer 503 for a passing fault that nobody has named, and 500 for any other error."""
    fault = faults.find(error)
    if fault is not None:
        _log.warning("request_met_fault", route=flask.request.endpoint, fault=fault.sentence)
        return _from_millrace(faults.to_error(fault))
    incident = ids.new_ulid()
    _log.error("request_failed", incident=incident, route=flask.request.endpoint, **telemetry.describe(error))
    return problem(
        500,
        f"An unexpected error occurred; the server's log has the details under {incident}.",
        instance=f"urn:ulid:{incident}",
    )


def invalid_response(invalid: pydantic.ValidationError) -> flask.Response:
    """Answer a request that flask-openapi found invalid."""
    return _from_millrace(validation.to_error(invalid, model=_model_of_route(invalid.title)))


def _model_of_route(title: str) -> type[pydantic.BaseModel] | None:
    """Look up the route's model with this name, among the annotations of its parameters; None when there is none."""
    view = flask.current_app.view_functions.get(flask.request.endpoint or "")
    hints = typing.get_type_hints(view).values() if view else ()
    return next(
        (model for hint in hints for model in permitted_fields.find_models(hint) if model.__name__ == title), None
    )


def register(app: flask.Flask) -> None:
    """Answer every error of an application with a problem document."""
    app.register_error_handler(errors.MillraceError, _from_millrace)
    app.register_error_handler(werkzeug.exceptions.HTTPException, _from_http)
    app.register_error_handler(Exception, _from_unexpected)
