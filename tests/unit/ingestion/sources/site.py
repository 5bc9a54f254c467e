"""A small real web server on a random port, whose pages a test writes down and which notes what it was asked."""

import contextlib
import dataclasses
import http.server
import ssl
import threading
from types import TracebackType
from typing import Any, Self

from shared import settings


@dataclasses.dataclass(frozen=True)
class Reply:
    """What is answered at one path."""

    body: bytes
    status: int
    headers: dict[str, str]
    raw: bytes | None = None
    """When given, these very bytes are sent, and the connection is closed."""


class Site:
    """A web server of a test's own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """Start with no pages; over TLS, when a server's context is given."""
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def put(
        self, path: str, body: bytes | str = b"", *, status: int = 200, raw: bytes | None = None, **headers: str
    ) -> str:
        """Answer so at a path (what was put before comes first, once); gives the address."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.setdefault(path, []).append(Reply(data, status, named, raw))
        return self.url + path

    def paths(self) -> list[str]:
        """List the requested paths, in order."""
        return [path for path, _ in self.asked]

    def settings(self, **changes: Any) -> settings.Settings:
        """Build settings that allow this server."""
        chosen = {"ingestion_allow_hosts": ("127.0.0.1/32",), "ingestion_ports": (self.port,), **changes}
        return settings.Settings(**{"ingestion_page_seconds": 0.0, **chosen})

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up, as one does that doesn't trust us."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append((self.path, dict(self.headers)))
        replies = site.replies.get(self.path, [Reply(b"not here", 404, {})])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.raw is not None:
            with contextlib.suppress(ConnectionError):  # Who asked may have had enough.
                self.wfile.write(reply.raw)
            return
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
