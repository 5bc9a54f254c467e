"""Who may do what: every route names the scope it needs, and a route that names none is closed."""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, TypeVar

import flask

from api import context
from api.intake import keys
from api.intake.orders import Client
from shared import errors, tenants
from shared.jobs import stories
from shared.objects import store

View = TypeVar("View", bound=Callable[..., Any])
_PUBLIC = "public"
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_SAID_BY_PROXIES = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED", "HTTP_X_REAL_IP")
BEARER = re.compile(r"^Bearer +(\S+)$", re.IGNORECASE)


def needs(scope: keys.Scope) -> Callable[[View], View]:
    """Open a route to keys with a scope."""

    def mark(view: View) -> View:
        view.scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def needs_from_elsewhere(scope: keys.Scope) -> Callable[[View], View]:
    """Open a route to clients on this host, and to keys with a scope."""

    def mark(view: View) -> View:
        view.is_open_here = True  # type: ignore[attr-defined]
        return needs(scope)(view)

    return mark


def public(view: View) -> View:
    """Open a route to everybody."""
    view.scope = _PUBLIC  # type: ignore[attr-defined]
    return view


def scope_of(app: flask.Flask, endpoint: str | None) -> str | None:
    """Look up the scope that an endpoint needs; None when it names none, and so is closed."""
    scope: str | None = _mark_of(app, endpoint, "scope")
    return scope


def _mark_of(app: flask.Flask, endpoint: str | None, name: str) -> Any:
    view: Any = app.view_functions.get(endpoint or "")
    while view is not None:
        mark = getattr(view, name, None)
        if mark is not None:
            return mark
        view = getattr(view, "__wrapped__", None)
    return None


def check() -> None:
    """Check a request's key and scope, before every request; raises UnauthenticatedError, ForbiddenError."""
    request = flask.request
    # The thread may still have the story of its last request.
    stories.begin(None)
    scope = scope_of(flask.current_app, request.endpoint)
    if scope == _PUBLIC:
        return
    if _mark_of(flask.current_app, request.endpoint, "is_open_here") and _is_from_this_host():
        return
    if request.endpoint is None and not request.path.startswith("/v1"):
        return
    key = context.current().keys.check(_bearer_token())
    flask.g.key = key
    correlation_id = _correlation_id()
    stories.begin(correlation_id)
    flask.g.client = Client(
        tenant_id=key.tenant_id,
        key_id=key.id,
        max_priority=key.max_priority,
        traceparent=_traceparent(),
        correlation_id=correlation_id,
    )
    if request.endpoint is None:
        return
    if not store.is_key(key.tenant_id):
        raise errors.ForbiddenError(
            f"The tenant of this key is called {key.tenant_id[:100]!r}, and no object can be stored for it; create a "
            f"key for a tenant whose name has {tenants.RULE}."
        )
    if scope is None or not key.allows(scope):  # type: ignore[arg-type]
        raise errors.ForbiddenError(
            f"This needs a key with the scope {scope or 'admin'!r}; the scopes of this key are: "
            f"{', '.join(key.scopes) or 'none'}."
        )


def _is_from_this_host() -> bool:
    """Return whether the request's peer has a loopback address, and no header says that it passes the request on.

    A proxy on this host that adds no such header can't be told from a client on this host.
    """
    if any(name.startswith(_SAID_BY_PROXIES) for name in flask.request.environ):
        return False
    try:
        address = ipaddress.ip_address(flask.request.remote_addr or "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def allows(scope: keys.Scope) -> bool:
    """Return whether the key of this request has a scope that its route doesn't require."""
    key: keys.Key = flask.g.key
    return key.allows(scope)


def _bearer_token() -> str:
    headers = flask.request.headers.getlist("Authorization")
    if len(headers) > 1 or (headers and "," in headers[0]):
        raise errors.MalformedRequestError("There are several Authorization headers; send exactly one.")
    match = BEARER.match(headers[0]) if headers else None
    if match is None:
        raise errors.UnauthenticatedError("Send an API key: `Authorization: Bearer <key>`.")
    return match.group(1)


def _traceparent() -> str | None:
    header = flask.request.headers.get("traceparent", "")
    return header if _TRACEPARENT.match(header) else None


def _correlation_id() -> str | None:
    """Read the id of the story to which a request says that it belongs; raises MalformedRequestError."""
    given = flask.request.headers.get(stories.HEADER)
    if given is not None and not stories.PATTERN.fullmatch(given):
        raise errors.MalformedRequestError(
            f"{stories.HEADER} is {given[:80]!r}; send 1 to 64 letters, digits, '.', '_', ':' and '-', beginning with "
            "a letter or a digit."
        )
    return given
