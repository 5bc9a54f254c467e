"""A cheap load generator: many keep-alive connections, one thread, raw sockets.

It shares the cores with what it measures, so it knows no more of HTTP/1.1 than responses with a Content-Length need.
"""

import json
import re
import selectors
import socket
import time
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LONGEST_WAIT_SECONDS = 30.0


class Response(NamedTuple):
    """A response, and the seconds since the epoch at which the request was sent and the response was complete."""

    status: int
    body: bytes
    sent: float
    received: float


Script = Generator[bytes, Response, None]
"""What one client does: it yields a request and is sent the response."""


class Requests:
    """Builds the bytes of requests."""

    def __init__(self, *, host: str, port: int, key: str) -> None:
        """Build the headers that all requests have."""
        self._headers = f"Host: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"

    def get(self, path: str) -> bytes:
        """Build a GET."""
        return f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode()

    def post(self, path: str, document: Any) -> bytes:
        """Build a POST of a JSON document."""
        body = json.dumps(document).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"POST {path} HTTP/1.1\r\n{self._headers}{head}".encode() + body


class _Client:
    """A connection, and the script that runs on it."""

    def __init__(self, address: tuple[str, int], script: Script) -> None:
        self.socket = socket.create_connection(address, timeout=_LONGEST_WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.script = script
        self._sent = 0.0
        self._buffer = b""

    def begin(self) -> bool:
        """Send the first request; return False when there is none."""
        request = next(self.script, None)
        if request is not None:
            self._send(request)
        return request is not None

    def _send(self, request: bytes) -> None:
        self._sent = time.time()
        self.socket.sendall(request)

    def advance(self) -> bool:
        """Read, and once the response is complete, send the next request; return False when the script ends."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError(f"the server closed the connection after {self._buffer[:200]!r}")
        self._buffer = self._buffer + chunk if self._buffer else chunk
        response = self._take_response()
        if response is None:
            return True
        try:
            self._send(self.script.send(response))
        except StopIteration:
            return False
        return True

    def _take_response(self) -> Response | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._buffer, 0, end + 2)
        if length is None:
            raise ValueError(f"a response without Content-Length: {self._buffer[:200]!r}")
        if len(self._buffer) < end + 4 + int(length.group(1)):
            return None
        body, status = self._buffer[end + 4 :], int(self._buffer[9:12])
        self._buffer = b""
        return Response(status, body, self._sent, time.time())


def run(address: tuple[str, int], scripts: Sequence[Script]) -> None:
    """Run every script to its end, all at once, each on a connection of its own."""
    clients = [_Client(address, script) for script in scripts]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        running = sum([client.begin() or _close(selector, client) for client in clients])
        while running:
            ready = selector.select(_LONGEST_WAIT_SECONDS)
            if not ready:
                raise TimeoutError(f"no response within {_LONGEST_WAIT_SECONDS:.0f} s")
            for key, _ in ready:
                if not key.data.advance():
                    running -= 1
                    _close(selector, key.data)


def _close(selector: selectors.BaseSelector, client: _Client) -> bool:
    selector.unregister(client.socket)
    client.socket.close()
    return False
