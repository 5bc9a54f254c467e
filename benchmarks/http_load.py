"""A load generator that costs little: many keep-alive connections, one thread, raw sockets.

It shares the cores with what it measures, so it does no more of HTTP/1.1 than a response with a Content-Length needs.
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
    """An answer, and the seconds since the epoch at which the request left and the answer was whole."""

    status: int
    body: bytes
    sent: float
    received: float


Script = Generator[bytes, Response, None]
"""What one client does: it yields a request and is given its response."""


class Requests:
    """Makes the bytes of requests."""

    def __init__(self, *, host: str, port: int, key: str) -> None:
        """Keep what every request says."""
        self._headers = f"Host: {host}:{port}\r\nAuthorization: Bearer {key}\r\n"

    def get(self, path: str) -> bytes:
        """Make a GET."""
        return f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode()

    def post(self, path: str, document: Any) -> bytes:
        """Make a POST of a JSON document."""
        body = json.dumps(document).encode()
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return f"POST {path} HTTP/1.1\r\n{self._headers}{head}".encode() + body


class _Client:
    """A connection and the script that is played on it."""

    def __init__(self, address: tuple[str, int], script: Script) -> None:
        self.socket = socket.create_connection(address, timeout=_LONGEST_WAIT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.script = script
        self._sent = 0.0
        self._buffer = b""

    def begin(self) -> bool:
        """Send the first request; False when there is none."""
        request = next(self.script, None)
        if request is not None:
            self._send(request)
        return request is not None

    def _send(self, request: bytes) -> None:
        self._sent = time.time()
        self.socket.sendall(request)

    def go_on(self) -> bool:
        """Read what has come and, when the answer is whole, send the next request; False when the script ends."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError(f"the server closed the connection after {self._buffer[:200]!r}")
        self._buffer = self._buffer + chunk if self._buffer else chunk
        response = self._whole()
        if response is None:
            return True
        try:
            self._send(self.script.send(response))
        except StopIteration:
            return False
        return True

    def _whole(self) -> Response | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self._buffer, 0, end + 2)
        if length is None:
            raise ValueError(f"an answer without Content-Length: {self._buffer[:200]!r}")
        if len(self._buffer) < end + 4 + int(length.group(1)):
            return None
        body, status = self._buffer[end + 4 :], int(self._buffer[9:12])
        self._buffer = b""
        return Response(status, body, self._sent, time.time())


def play(address: tuple[str, int], scripts: Sequence[Script]) -> None:
    """Play every script to its end, each on a connection of its own, all at once."""
    clients = [_Client(address, script) for script in scripts]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        playing = sum([client.begin() or _leave(selector, client) for client in clients])
        while playing:
            ready = selector.select(_LONGEST_WAIT_SECONDS)
            if not ready:
                raise TimeoutError(f"no answer within {_LONGEST_WAIT_SECONDS:.0f} s")
            for key, _ in ready:
                if not key.data.go_on():
                    playing -= 1
                    _leave(selector, key.data)


def _leave(selector: selectors.BaseSelector, client: _Client) -> bool:
    selector.unregister(client.socket)
    client.socket.close()
    return False
