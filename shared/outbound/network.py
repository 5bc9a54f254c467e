"""Connects only to checked addresses, and ends requests that take too long, whatever the server does.

docs/decisions/ingestion.md, "Addresses are checked, and connected to as checked"
"""

import contextlib
import dataclasses
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpcore

from shared import errors
from shared.outbound import addresses

Resolve = Callable[[str, int], list[str]]
CONNECT_SECONDS = 10.0
MAX_ADDRESSES = 8


def resolve(host: str, port: int) -> list[str]:
    """Look up a host's addresses; RetryableError while the name servers don't answer."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise errors.RetryableError(f"The name {host[:100]!r} can't be looked up at the moment.") from error
        raise errors.PermanentError(f"There is no host with the name {host[:100]!r}.") from error
    except UnicodeError as error:
        raise errors.PermanentError(f"{host[:100]!r} is not a valid host name.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def within(resolve: Resolve, *, deadline: "Deadline") -> Resolve:
    """Let looking a name up end by the deadline too: the system's own look-up takes as long as name servers do."""

    def look_up(host: str, port: int) -> list[str]:
        found: queue.SimpleQueue[list[str] | errors.MillraceError] = queue.SimpleQueue()

        def work() -> None:
            try:
                found.put(resolve(host, port))
            except errors.MillraceError as error:
                found.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            answer = found.get(timeout=deadline.cap(None))
        except queue.Empty:
            raise errors.RetryableError(f"The name {host[:100]!r} can't be looked up in time.") from None
        if isinstance(answer, errors.MillraceError):
            raise answer
        return answer

    return look_up


@dataclasses.dataclass(frozen=True)
class Ports:
    """The ports that may be connected to, and the environment variable by which the operator says so."""

    allowed: Collection[int]
    setting: str

    def check(self, port: int) -> None:
        """Refuse a port that isn't allowed; raises PermanentError."""
        if port not in self.allowed:
            raise errors.PermanentError(
                f"The port {port} isn't allowed, only {', '.join(map(str, sorted(self.allowed)))}; "
                f"the operator can allow more with {self.setting}."
            )


class Deadline:
    """The time by which a request must have ended."""

    def __init__(self) -> None:
        """Start without a deadline."""
        self._until = float("inf")
        self._seconds = 0.0

    def start(self, seconds: float) -> None:
        """Set the deadline of the next request, in seconds from now."""
        self._until = time.monotonic() + seconds
        self._seconds = seconds

    def cap(self, timeout: float | None) -> float:
        """Compute how long one step may wait; RetryableError when the time is up."""
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise errors.RetryableError(f"The request took longer than {self._seconds:,.0f} s.")
        return min(remaining, CONNECT_SECONDS if timeout is None else timeout)


class Backend(httpcore.NetworkBackend):
    """Resolves a host once, checks all of its addresses, and connects to exactly these addresses."""

    def __init__(
        self,
        *,
        allowlist: addresses.Allowlist,
        ports: Ports | None,
        deadline: Deadline,
        resolve: Resolve = resolve,
        only_allowed: bool = False,
    ) -> None:
        """Allow connections to these addresses and ports (None: any), until the deadline.

        `only_allowed` refuses public addresses too, unless the operator allows them.
        """
        self._only_allowed = only_allowed
        self._allowlist = allowlist
        self._ports = ports
        self._deadline = deadline
        self._resolve = resolve
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of a host's addresses that answers; PermanentError when one of them is not allowed."""
        if self._ports is not None:
            self._ports.check(port)
        checked = self._resolve_checked(host, port)
        last_error: Exception | None = None
        for address in checked[:MAX_ADDRESSES]:
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._deadline.cap(timeout), local_address, socket_options
                )
                return _Stream(stream, deadline=self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last_error = error
        raise last_error or httpcore.ConnectError(f"{host[:100]!r} has no address")

    def _resolve_checked(self, host: str, port: int) -> list[str]:
        """Resolve a host, and check that all of its addresses are allowed."""
        resolved = self._resolve(host, port)
        for text in resolved:
            address = ipaddress.ip_address(text)
            self._allowlist.check(address, host=host)
            if self._only_allowed and not self._allowlist.names_address(address, host=host):
                raise errors.PermanentError(
                    f"The host {host[:100]!r} is only connected to by https; the operator can allow http with "
                    f"{self._allowlist.setting}."
                )
        return resolved


class _Stream(httpcore.NetworkStream):
    """A connection on which no step outlasts the deadline, so a server that trickles bytes can't keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, *, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.cap(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.cap(timeout))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cap(timeout))
        return _Stream(stream, deadline=self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
