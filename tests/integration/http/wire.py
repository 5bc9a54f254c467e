"""HTTP by hand: bytes on a socket, as a client that is broken or hostile sends them."""

import contextlib
import http.client
import io
import json
import socket
from collections.abc import Iterator
from typing import Any, cast

import psutil

from tests.system_under_test import System

LIMIT_SECONDS = 20.0
PING = b'{"kind": "training.ping", "params": {}}'


class Answer:
    """A response as it came."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        """Read it to its end."""
        self.status_code = response.status
        self.headers = {name.title(): value for name, value in response.getheaders()}
        self.data = response.read()
        self.text = self.data.decode("utf-8", "replace")

    def get_json(self) -> Any:
        """Return its JSON document."""
        return json.loads(self.data)


def head(system: System, method: str, path: str, *headers: str, key: bool = True, version: str = "1.1") -> bytes:
    """Write a request's head."""
    lines = [f"{method} {path} HTTP/{version}", "Host: api"]
    if key:
        lines.append(f"Authorization: Bearer {system.key}")
    return ("\r\n".join([*lines, *headers]) + "\r\n\r\n").encode("latin-1")


@contextlib.contextmanager
def connected(system: System) -> Iterator[socket.socket]:
    """Open a connection to the API."""
    with socket.create_connection(("127.0.0.1", system.port), timeout=LIMIT_SECONDS) as connection:
        yield connection


def read(connection: socket.socket, *, method: str = "GET") -> Answer:
    """Read one response."""
    with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as response:
        response.begin()
        return Answer(response)


class _Buffer(io.BufferedReader):
    """What has come of a connection, for several responses: each would close it, and lose what came of the next."""

    def makefile(self, _mode: str) -> "_Buffer":
        """Return the buffer where a response expects a socket."""
        return self

    def close(self) -> None:
        """Stay open."""


def read_in_turn(connection: socket.socket, count: int) -> list[Answer]:
    """Read several responses to requests that were sent at once."""
    answers = []
    with connection.makefile("rb", buffering=0) as stream:
        buffer = _Buffer(stream)
        for _ in range(count):
            response = http.client.HTTPResponse(cast(socket.socket, buffer))
            response.begin()
            answers.append(Answer(response))
    return answers


def ask(system: System, *parts: bytes, half_close: bool = False) -> Answer:
    """Send bytes and read the answer, even when the API closes before it has taken all of them."""
    with connected(system) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read(connection)


def chunk(data: bytes) -> bytes:
    """Write a chunk of a body of no declared length; an empty one is the last."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def memory_bytes(system: System) -> int:
    """Measure what the API's processes hold."""
    main = psutil.Process(system.processes["api"].pid)
    return sum(process.memory_info().rss for process in (main, *main.children(recursive=True)))


def threads(system: System) -> int:
    """Count the API's threads."""
    main = psutil.Process(system.processes["api"].pid)
    return sum(process.num_threads() for process in (main, *main.children(recursive=True)))
