"""What a deployment whose errors are plain says of them: the status and a fixed sentence, and the detail to the log.

docs/decisions/serving.md, "Plain errors keep their type, and lose their words".
"""

import structlog

from shared import errors, ids
from workers.prediction.online import serving
from workers.prediction.online.deployed import Deployed

_log = structlog.get_logger()
HEADER = "Millrace-Request-Id"
"""Names the request in the log, which has the detail."""
_WORDS: dict[type[errors.MillraceError], str] = {
    errors.MalformedRequestError: "The request can't be read.",
    errors.NotFoundError: "There is no such route or version here.",
    errors.TooLargeError: "The request is too large.",
    errors.UnsupportedMediaTypeError: "The body is of a type that this route doesn't take.",
    errors.InvalidRequestError: "The rows don't fit this deployment.",
    errors.BadDataError: "The rows don't fit this deployment.",
    errors.TooManyRequestsError: "Too many requests at once; try again later.",
    errors.BadModelError: "The deployment can't answer this request.",
    errors.UnavailableError: "The deployment can't answer now; try again later.",
}
_OTHERWISE = "The request failed."


def hide(
    error: errors.MillraceError, served: serving.Serving, *, tenant_id: str | None, path: tuple[str, ...]
) -> tuple[errors.MillraceError, tuple[tuple[str, str], ...]]:
    """Return the error to answer a request with, and the headers to add.

    That is the error itself, unless the path is of a deployment with plain errors. Then it is one of the same class
    that names no value, column, version or reason; what was to be said is logged with the id in the header.
    """
    deployed = None if tenant_id is None else _find(served, tenant_id, path)
    if deployed is None or not deployed.has_plain_errors:
        return error, ()
    request_id = ids.new_ulid()
    _log.info(
        "request_refused",
        request_id=request_id,
        tenant=deployed.tenant_id,
        deployment=deployed.name,
        error=errors.to_reason(error),
    )
    words = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), _OTHERWISE)
    return type(error)(words, retry_after_seconds=error.retry_after_seconds), ((HEADER, request_id),)


def _find(served: serving.Serving, tenant_id: str, path: tuple[str, ...]) -> Deployed | None:
    """Find the deployment that a path asks, whatever it asks of it."""
    match path:
        case ("v1", "deployments", name, *_) | ("v2", "models", name, *_) | ("mlflow", name, *_):
            return served.find(tenant_id, name)
        case ("v2", "repository", "models", name, *_):
            return served.find(tenant_id, name)
        case ("invocations" | "ping" | "health" | "version", *_):
            deployments = served.list_deployments(tenant_id)
            return deployments[0] if len(deployments) == 1 else None
        case _:
            return None
