"""A small real receiver of webhooks, which notes what it gets and answers what a test says."""

import base64
import dataclasses
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The CloudEvent."""
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Compute the signature anew from what came, by another way than our own code, and look for it."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        assert secret.startswith("whsec_")
        assert 24 <= len(key) <= 64
        signed = b".".join([self.id.encode(), self.headers["webhook-timestamp"].encode(), self.body])
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{digest}" in self.headers["webhook-signature"].split(" ")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hangs: bool = False
    """Whether nothing is answered until the receiver is closed."""
    drips: bool = False
    """Whether the head of the answer comes a byte at a time, without end."""
    body_bytes: int = 0
    endless: bool = False
    """Whether the body is said to be longer than what comes, and the connection stays open."""


class Receiver:
    """A receiver on a port of its own; it answers what stands in `answers` first, once each, and then 200."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """Start; over TLS, when a context is given."""
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        self.closing = threading.Event()
        self.connections = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def ids(self) -> list[str]:
        """List the ids of what came."""
        return [each.id for each in self.received]

    def __enter__(self) -> Self:
        """Return it, to be closed at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    receiver: Receiver
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.receiver.connections += 1

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver.received.append(Received(self.path, headers, body))
        answer = receiver.answers.pop(0) if receiver.answers else Answer()
        if answer.hangs:
            receiver.closing.wait(60)
            self.close_connection = True
        elif answer.drips:
            self._drip()
        else:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.body_bytes + (10**9 if answer.endless else 0)))
        self.end_headers()
        self.wfile.write(b"x" * answer.body_bytes)
        if answer.endless:
            self.server.receiver.closing.wait(60)
            self.close_connection = True

    def _drip(self) -> None:
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.server.receiver.closing.is_set():
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has named it.
        """Say nothing."""
