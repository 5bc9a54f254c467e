"""Asks the API on behalf of a run's owner, as every client does: over HTTP, with limits to each wait."""

import concurrent.futures
import contextlib
import http.client
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import orjson

from shared import errors, settings

_SECONDS = 15.0
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_AT_ONCE = 8
_MAX_DETAIL = 2_000
_FULL = 507
_WAIT_SECONDS = 5
_MAX_WAIT_SECONDS = 30

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Refused(errors.MillraceError):
    """The API refuses a request, and would again."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the HTTP status and what the API says."""
        super().__init__(detail)
        self.status = status


class Away(errors.MillraceError):
    """The API can't answer now, or has no room; the same request may be sent again later."""


class Client:
    """Asks in the name of the owner of one run, within one story."""

    def __init__(self, config: settings.Settings, *, tenant_id: str, owner: str, correlation_id: str) -> None:
        """Keep for whom to ask; nothing connects yet."""
        self._url = urllib.parse.urlsplit(config.effective_api_url())
        self._headers = {
            "Authorization": f"Bearer {_read_key(config)}",
            "Millrace-Tenant": tenant_id,
            "Millrace-On-Behalf-Of": owner,
            "Millrace-Correlation-Id": correlation_id,
        }
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def get(self, path: str) -> dict[str, Any]:
        """Read a document; raises Refused and Away."""
        return self._ask("GET", path, None)

    def post(self, path: str, document: Any = None) -> dict[str, Any]:
        """Send a document, which must do no harm when it comes twice; raises Refused and Away."""
        return self._ask("POST", path, document)

    def each(self, ask: Callable[[Asked], Answered], asked: Iterable[Asked]) -> list[Answered]:
        """Ask for each of several things, some at once, and return the answers in their order."""
        waiting = list(asked)
        if len(waiting) <= 1:
            return [ask(one) for one in waiting]
        pool = concurrent.futures.ThreadPoolExecutor(min(_AT_ONCE, len(waiting)), thread_name_prefix="asks")
        try:
            return list(pool.map(ask, waiting))
        finally:
            # When the job is to stop, what hasn't been sent yet is not sent any more.
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._opened:
            connection.close()

    def _ask(self, method: str, path: str, document: Any) -> dict[str, Any]:
        body = None if document is None else orjson.dumps(document)
        headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
        try:
            status, wait, content = self._send(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._forget()
            raise Away(f"The API can't be reached ({type(error).__name__}).", retry_after_seconds=2) from error
        if status < 300:
            read: dict[str, Any] = orjson.loads(content) if content else {}
            return read
        detail = _describe(status, content)
        if status == 401:
            raise Away(f"The API refuses the key of this service: {detail}", retry_after_seconds=_MAX_WAIT_SECONDS)
        if status in (408, 429) or (status >= 500 and status != _FULL):
            raise Away(detail, retry_after_seconds=wait)
        raise Refused(status, detail)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, int, bytes]:
        """Send a request, once more on a new connection when the kept one has been closed meanwhile."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                return _exchange(connection, method, path, body, headers)
            self._forget()
        return _exchange(self._connect(), method, path, body, headers)

    def _connect(self) -> http.client.HTTPConnection:
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise Away("MILLRACE_API_URL names no API; set it to such as http://api:8400.", retry_after_seconds=30)
        make = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = make(self._url.hostname, self._url.port, timeout=_SECONDS)
        self._local.connection = connection
        self._opened.append(connection)
        return connection

    def _forget(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, int, bytes]:
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    content = response.read(_MAX_ANSWER_BYTES + 1)
    if len(content) > _MAX_ANSWER_BYTES:
        raise http.client.HTTPException("the answer is too long")
    given = response.getheader("Retry-After", "")
    wait = min(int(given), _MAX_WAIT_SECONDS) if given.isdecimal() and len(given) < 6 else _WAIT_SECONDS
    return response.status, max(1, wait), content


def _describe(status: int, content: bytes) -> str:
    """Say what a problem document says, with the first of its problems."""
    try:
        problem = orjson.loads(content)
        detail = str(problem["detail"])
        found = [f"{one['pointer']}: {one['detail']}" for one in problem.get("errors", [])[:3]]
    except (ValueError, KeyError, TypeError):
        return f"The API answers {status}."
    more = "; ".join(text for text in found if text not in detail)
    return (f"{detail} ({more})" if more else detail)[:_MAX_DETAIL]


def _read_key(config: settings.Settings) -> str:
    """Read the service's key; an empty one, which the API refuses, where there is none."""
    key = config.service_key.get_secret_value()
    if key:
        return key
    with contextlib.suppress(OSError):
        return config.service_path().read_text(encoding="ascii", errors="replace").strip()
    return ""
