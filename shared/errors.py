"""The error tree: what can go wrong, and whether trying again can help."""

from typing import Any

from shared import database_errors, storable

_MAX_REASON_LENGTH = 500


class MillraceError(Exception):
    """Something went wrong in Millrace."""

    def __init__(
        self,
        message: str | None = None,
        *,
        pointer: str | None = None,
        problems: "list[Problem] | None" = None,
        retry_after_seconds: int | None = None,
        members: dict[str, Any] | None = None,
        message_for_log: str | None = None,
    ) -> None:
        """Keep the message (the class docstring when none is given), where it points, and what else a client gets.

        `message_for_log` takes its place in the log and in Flower, where it holds what a library has written.
        """
        self.message = message or (type(self).__doc__ or "").strip()
        self.pointer = pointer
        self.problems = list(problems or [])
        self.retry_after_seconds = retry_after_seconds
        self.members = dict(members or {})
        self.message_for_log = message_for_log or self.message
        super().__init__(self.message)


class Problem(dict[str, str]):
    """One problem in a document: what is wrong (`detail`) and where (`pointer`, a JSON pointer)."""

    def __init__(self, detail: str, pointer: str) -> None:
        """Set the two members that RFC 9457 uses for a validation error."""
        super().__init__(detail=detail, pointer=pointer)


# Whether a failed job may be tried again.


class RetryableError(MillraceError):
    """A temporary failure; the same job may succeed later."""


class PermanentError(MillraceError):
    """The job can't succeed as it was submitted."""


# What a worker raises because of the job's data or parameters.


class BadDataError(PermanentError):
    """The data can't be read as what it was declared to be."""


class BadRecipeError(PermanentError):
    """The recipe doesn't fit the data."""


class BadModelError(PermanentError):
    """The model can't be trained or used as requested."""


class UnsafeArtifactError(PermanentError):
    """The artifact isn't one that Millrace wrote, or holds a type that is not allowed."""


class LimitExceededError(PermanentError):
    """The input is larger than the limit that the operator has set."""


# What the API answers with.


class RequestError(MillraceError):
    """The request can't be served as it is."""


class InvalidRequestError(RequestError):
    """The request's document doesn't have the form that this route takes."""


class MalformedRequestError(RequestError):
    """The request can't be read."""


class UnauthenticatedError(RequestError):
    """A valid API key is needed."""


class ForbiddenError(RequestError):
    """The API key's scopes don't allow this."""


class NotFoundError(RequestError):
    """There is no such resource here."""


class ConflictError(RequestError):
    """The resource is not in a state that allows this."""


class GoneError(RequestError):
    """What was here has been deleted, and comes back no more."""


class PreconditionFailedError(RequestError):
    """The resource has changed since the client read it."""


class IdempotencyMismatchError(RequestError):
    """This Idempotency-Key was used before with another request."""


class UnsuccessfulError(RequestError):
    """The job has ended without success, or with a refusal, and the client prefers to be told so by an error."""


class TooLargeError(RequestError):
    """The request's body is larger than the limit."""


class QuotaExceededError(RequestError):
    """The tenant's quota of stored bytes has no room for this."""


class UnsupportedMediaTypeError(RequestError):
    """The body is of a type that this route does not take."""


class TooManyRequestsError(RequestError):
    """Too many requests; slow down."""


class UnavailableError(RequestError):
    """Something that this request needs is down; try again later."""


class DownError(UnavailableError):
    """Something that Millrace runs on is down; the same will work once it is back."""


def to_reason(error: BaseException) -> str:
    """Convert an error to one line for the log and Flower: its class and, where we have written it, its message.

    docs/decisions/faults.md, "The log and Flower tell why a job failed, in our own words only".
    """
    if isinstance(error, MillraceError):
        message = error.message_for_log
    elif database_errors.is_one(error):
        return f"{database_errors.TYPE}: {database_errors.describe(error)}"
    else:
        return type(error).__name__
    return storable.to_text(f"{type(error).__name__}: {' '.join(message.split())}")[:_MAX_REASON_LENGTH]


def to_document(error: BaseException) -> dict[str, Any]:
    """Convert an error to its type and message as text, to be sent to another process or stored in a job's row."""
    if database_errors.is_one(error):
        return {"type": database_errors.TYPE, "message": database_errors.describe(error)}
    try:
        message = error.message if isinstance(error, MillraceError) else f"{error}"
    except Exception:  # noqa: BLE001 - a library's own `__str__` may fail, and the error must be reported all the same.
        message = "The error's message can't be shown."
    return {"type": type(error).__name__, "message": message[:4000]}
