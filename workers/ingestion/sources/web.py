"""Asks web servers: checked addresses only, few redirects, honest about who asks, nothing without a limit."""

import contextlib
import dataclasses
import datetime
import email.utils
import hashlib
import importlib.metadata
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpcore
import httpx

from shared import errors, settings
from shared.ingestion import sources
from shared.progress import Progress, no_progress
from workers.ingestion.sources import addresses, network

ROBOT = "Millrace"
"""The name by which robots.txt may speak to us."""
MOST_REDIRECTS = 3
READ_SECONDS = 30.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429})
LONGEST_RETRY_AFTER_SECONDS = 3600


@dataclasses.dataclass(frozen=True)
class Answer:
    """A server's answer, whose body is read while it comes."""

    url: str
    """The address after all redirects."""
    status: int
    headers: httpx.Headers
    body: Iterator[bytes]


@dataclasses.dataclass(frozen=True)
class Saved:
    """A body that was saved."""

    bytes: int
    sha256: str


class Web:
    """A client of web servers; one for each load, so that nothing passes from one to another."""

    def __init__(self, config: settings.Settings, *, resolve: network.Resolve = network.resolve) -> None:
        """Keep what the operator allows."""
        self._deadline = network.Deadline()
        self._agent = user_agent(config.ingestion_contact)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=1,
            network_backend=network.Backend(
                allowed=addresses.Allowed.parse(config.ingestion_allow_hosts),
                ports=config.ingestion_ports,
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
        most_redirects: int = MOST_REDIRECTS,
        before: Callable[[str], None] = lambda _url: None,
    ) -> Iterator[Answer]:
        """Ask for an address; `before` is told each one that is asked, redirects too, and may refuse it."""
        for _ in range(most_redirects + 1):
            before(url)
            self._deadline.start(seconds)
            with self._ask(url, accept_encoding=accept_encoding) as answer:
                if answer.status not in REDIRECTS:
                    yield answer
                    return
                url = _redirected(answer)
        raise errors.PermanentError(
            f"{shown(url)} was reached by more than {most_redirects} redirects; give it itself."
        )

    @contextlib.contextmanager
    def _ask(self, url: str, *, accept_encoding: str) -> Iterator[Answer]:
        headers = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": accept_encoding}
        try:
            asked = httpx.Request("GET", url, headers=headers)
        except (httpx.InvalidURL, ValueError) as error:
            raise errors.PermanentError(f"{shown(url)} is no address of a web server.") from error
        target = httpcore.URL(
            scheme=asked.url.raw_scheme, host=asked.url.raw_host, port=asked.url.port, target=asked.url.raw_path
        )
        timeouts = {"connect": network.CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS}
        with (
            _faults_named(url),
            self._pool.stream("GET", target, headers=asked.headers.raw, extensions={"timeout": timeouts}) as response,
        ):
            yield Answer(url, response.status, httpx.Headers(response.headers), response.iter_stream())


def user_agent(contact: str) -> str:
    """Say who asks, and how to reach whoever runs us."""
    try:
        version = importlib.metadata.version("millrace-services")
    except importlib.metadata.PackageNotFoundError:
        version = "checkout"
    return f"{ROBOT}/{version} (+{contact})" if contact else f"{ROBOT}/{version}"


def shown(url: str) -> str:
    """Give an address as messages and lineage may show it: without its query, which may hold a secret."""
    plain = url.partition("#")[0]
    address, question, _query = plain.partition("?")
    return f"{address[:300]}{question and '?…'}"


def origin(url: str) -> str:
    """Give an address's scheme, host and port, by which one site is told from another."""
    parts = httpx.URL(url)
    return str(httpx.URL(scheme=parts.scheme, host=parts.host, port=parts.port, path="/"))


def check_status(answer: Answer) -> None:
    """Refuse an answer that is not the thing itself; RetryableError when it may come later."""
    if answer.status in (200, 203):
        return
    said = f"{shown(answer.url)} answered {answer.status}"
    if answer.status >= 500 or answer.status in PASSING:
        raise errors.RetryableError(f"{said}, which may pass.", retry_after_seconds=_retry_after(answer.headers))
    raise errors.PermanentError(f"{said}; it must answer 200 to somebody without a password.")


def save(answer: Answer, path: Path, *, most_bytes: int, report: Progress = no_progress) -> Saved:
    """Write the body to a file as it comes, unpacked by nobody; LimitExceededError when it is too large."""
    length = answer.headers.get("Content-Length", "")
    announced = int(length) if length.isascii() and length.isdigit() else 0
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in answer.body:
            size += len(chunk)
            if max(size, announced) > most_bytes:
                raise errors.LimitExceededError(
                    f"{shown(answer.url)} is larger than {most_bytes:,} bytes, which is the limit."
                )
            digest.update(chunk)
            file.write(chunk)
            report(size / announced if announced else 0.0, f"fetching, {size:,} bytes")
    return Saved(size, digest.hexdigest())


def _redirected(answer: Answer) -> str:
    """Give where an answer sends us; PermanentError when it must not be followed."""
    try:
        url = str(httpx.URL(answer.url).join(answer.headers.get("Location", "")).copy_with(fragment=None))
        sources.web_address(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise errors.PermanentError(f"{shown(answer.url)} redirects to what can't be read: {error}") from error
    if answer.url.startswith("https:") and not url.startswith("https:"):
        raise errors.PermanentError(f"{shown(answer.url)} redirects from https to http, which isn't followed.")
    return url


@contextlib.contextmanager
def _faults_named(url: str) -> Iterator[None]:
    """Raise the faults of a connection as errors of ours."""
    try:
        yield
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
        raise errors.PermanentError(f"{shown(url)} can't be asked for: {error}") from error
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        if isinstance(error.__context__, ssl.SSLCertVerificationError):
            raise errors.PermanentError(
                f"{shown(url)} has no valid certificate: {error.__context__.verify_message}."
            ) from error
        raise errors.RetryableError(f"{shown(url)} can't be read at the moment ({type(error).__name__}).") from error


def _retry_after(headers: httpx.Headers) -> int | None:
    """Read Retry-After, in seconds or as a time."""
    given = headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return min(int(given[:9]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        until = email.utils.parsedate_to_datetime(given)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=datetime.UTC)
    wait = (until - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(int(wait), 0), LONGEST_RETRY_AFTER_SECONDS)
