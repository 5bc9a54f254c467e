"""A client for web servers: checked addresses only, few redirects, an honest user agent, and limits on everything."""

import contextlib
import dataclasses
import hashlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpcore
import httpx

from shared import errors, settings
from shared.outbound import addresses, causes, network, retry_after, urls, user_agent
from shared.progress import Progress, no_progress

ROBOT_NAME = user_agent.NAME
"""The name by which robots.txt can address us."""
MAX_REDIRECTS = 3
READ_SECONDS = 30.0
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
TRANSIENT_STATUSES = frozenset({408, 425, 429})


@dataclasses.dataclass(frozen=True)
class Response:
    """A server's response, whose body is streamed."""

    url: str
    """The URL after all redirects."""
    status: int
    headers: httpx.Headers
    body: Iterator[bytes]


@dataclasses.dataclass(frozen=True)
class Saved:
    """The size and hash of a body that was saved."""

    bytes: int
    sha256: str


class Client:
    """A client for web servers; one for each load, so that loads share no state."""

    def __init__(self, config: settings.Settings, *, resolve: network.Resolve = network.resolve) -> None:
        """Create a client with the operator's allowed hosts and ports."""
        self._deadline = network.Deadline()
        self._user_agent = user_agent.build(config.ingestion_contact)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=1,
            network_backend=network.Backend(
                allowlist=addresses.Allowlist.parse(
                    config.ingestion_allow_hosts, setting="MILLRACE_INGESTION_ALLOW_HOSTS"
                ),
                ports=network.Ports(config.ingestion_ports, setting="MILLRACE_INGESTION_PORTS"),
                deadline=self._deadline,
                resolve=resolve,
            ),
        )

    def close(self) -> None:
        """Close its connections."""
        self._pool.close()

    @contextlib.contextmanager
    def get(
        self,
        url: str,
        *,
        seconds: float,
        accept_encoding: str = "identity",
        max_redirects: int = MAX_REDIRECTS,
        before_request: Callable[[str], None] = lambda _url: None,
    ) -> Iterator[Response]:
        """Request a URL; `before_request` is called with each requested URL, redirects too, and may refuse it."""
        for _ in range(max_redirects + 1):
            before_request(url)
            self._deadline.start(seconds)
            with self._request(url, accept_encoding=accept_encoding) as response:
                if response.status not in REDIRECT_STATUSES:
                    yield response
                    return
                url = _resolve_redirect(response)
        raise errors.PermanentError(
            f"{redact(url)} was reached by more than {max_redirects} redirects; use it as the URL."
        )

    @contextlib.contextmanager
    def _request(self, url: str, *, accept_encoding: str) -> Iterator[Response]:
        headers = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": accept_encoding}
        try:
            request = httpx.Request("GET", url, headers=headers)
        except (httpx.InvalidURL, ValueError) as error:
            raise errors.PermanentError(f"{redact(url)} is not a web server's URL.") from error
        target = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        timeouts = {"connect": network.CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS}
        with (
            _translate_errors(url),
            self._pool.stream(
                "GET", target, headers=request.headers.raw, extensions={"timeout": timeouts}
            ) as pool_response,
        ):
            yield Response(url, pool_response.status, httpx.Headers(pool_response.headers), pool_response.iter_stream())


def redact(url: str) -> str:
    """Remove a URL's query, which may contain a secret, for messages and lineage."""
    without_fragment = url.partition("#")[0]
    base, question_mark, _query = without_fragment.partition("?")
    return f"{base[:300]}{question_mark and '?…'}"


def origin_of(url: str) -> str:
    """Return a URL's scheme, host and port, which identify a site."""
    parts = httpx.URL(url)
    return str(httpx.URL(scheme=parts.scheme, host=parts.host, port=parts.port, path="/"))


def check_status(response: Response) -> None:
    """Refuse a response without the content; RetryableError when a later attempt may succeed."""
    if response.status in (200, 203):
        return
    outcome = f"{redact(response.url)} answered {response.status}"
    if response.status >= 500 or response.status in TRANSIENT_STATUSES:
        raise errors.RetryableError(
            f"{outcome}, which may be temporary.",
            retry_after_seconds=retry_after.parse(response.headers.get("Retry-After", "")),
        )
    raise errors.PermanentError(f"{outcome}; it must answer 200 without a password.")


def save(response: Response, path: Path, *, max_bytes: int, report: Progress = no_progress) -> Saved:
    """Write the body to a file as it arrives, without unpacking it; LimitExceededError when it is too large."""
    length = response.headers.get("Content-Length", "")
    announced = int(length) if length.isascii() and length.isdigit() else 0
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in response.body:
            size += len(chunk)
            if max(size, announced) > max_bytes:
                raise errors.LimitExceededError(
                    f"{redact(response.url)} is larger than {max_bytes:,} bytes, which is the limit."
                )
            digest.update(chunk)
            file.write(chunk)
            report(size / announced if announced else 0.0, f"fetching, {size:,} bytes")
    return Saved(size, digest.hexdigest())


def _resolve_redirect(response: Response) -> str:
    """Return the URL that a response redirects to; PermanentError when it must not be followed."""
    try:
        url = str(httpx.URL(response.url).join(response.headers.get("Location", "")).copy_with(fragment=None))
        urls.check_web_url(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise errors.PermanentError(f"{redact(response.url)} redirects to a URL that can't be read: {error}") from error
    if response.url.startswith("https:") and not url.startswith("https:"):
        raise errors.PermanentError(f"{redact(response.url)} redirects from https to http, which isn't followed.")
    return url


@contextlib.contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Raise a connection's errors as errors of ours."""
    try:
        yield
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
        raise errors.PermanentError(f"{redact(url)} can't be requested: {error}") from error
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise errors.PermanentError(
                f"{redact(url)} has no valid certificate: {error.__context__.verify_message}."
            ) from error
        failure, cause = f"{redact(url)} can't be read at the moment", causes.explain(error)
        raise errors.RetryableError(f"{failure} ({type(error).__name__}){cause and ': '}{cause}.") from error
