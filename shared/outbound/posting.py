"""Posts to web servers that users name: checked addresses only, no redirects, and a limit on the time of all of it."""

import dataclasses
import ssl
import urllib.parse
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpcore

from shared import errors
from shared.outbound import addresses, causes, network

_MAX_ANSWER_BYTES = 4096
"""What is read of an answer, so that the connection can be used again; a longer one is cut off."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a server answered; nobody looks at its body."""

    status: int
    headers: Mapping[str, str]
    """By their names in lower case."""


class Poster:
    """Posts to one URL, on one connection as long as the server keeps it."""

    def __init__(
        self,
        url: str,
        *,
        allowlist: addresses.Allowlist,
        tls: ssl.SSLContext,
        resolve: network.Resolve = network.resolve,
    ) -> None:
        """Keep the URL; nothing connects yet. Without TLS only those hosts are posted to that the operator allows."""
        self._url = url
        self._place = urllib.parse.urlsplit(url)
        self._deadline = network.Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=1,
            network_backend=network.Backend(
                allowlist=allowlist,
                ports=None,
                deadline=self._deadline,
                resolve=network.within(resolve, deadline=self._deadline),
                only_allowed=self._place.scheme.lower() != "https",
            ),
        )

    def __enter__(self) -> Self:
        """Return it, to be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._pool.close()

    def post(self, body: bytes, *, headers: Mapping[str, str], seconds: float) -> Answer:
        """Post a body, and return what is answered within some seconds; MillraceError says why nothing was."""
        self._deadline.start(seconds)
        host = self._place.hostname or ""
        try:
            return self._post(body, headers)
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
            raise errors.PermanentError(f"The URL can't be requested: {type(error).__name__}.") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            # A limit on one step that ends in the same moment as the whole.
            self._deadline.cap(None)
            if isinstance(error.__context__, ssl.SSLCertVerificationError):
                message = f"{host[:100]!r} has no valid certificate: {error.__context__.verify_message}."
                raise errors.RetryableError(message) from error
            cause = causes.explain(error) or type(error).__name__
            raise errors.RetryableError(f"{host[:100]!r} can't be reached: {cause}.") from error

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        # A response that is left before its end closes the connection.
        with self._pool.stream(
            "POST",
            self._url,
            headers=[("Host", self._place.netloc), *headers.items()],
            content=body,
            extensions={"timeout": {"connect": network.CONNECT_SECONDS, "read": 3600.0, "write": 3600.0}},
        ) as response:
            answered = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reversed(response.headers)
            }
            self._skim(response)
            return Answer(response.status, answered)

    @staticmethod
    def _skim(response: httpcore.Response) -> None:
        """Read the beginning of a body; the status counts, also where the server never ends it."""
        size = 0
        try:
            for chunk in response.iter_stream():
                size += len(chunk)
                if size > _MAX_ANSWER_BYTES:
                    return
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, errors.RetryableError):
            return
