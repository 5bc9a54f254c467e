"""A TCP proxy whose connections fall silent on command: a hop that acknowledges everything and answers nothing.

So does a host behind a NAT that has lost its state, where something before it still acknowledges. To a client such a
connection looks alive for good: no reset, no end of file, no time limit of TCP.
"""

import contextlib
import socket
import threading
from typing import Literal, Self

Lost = Literal["all", "answers"]
"""What no longer passes: everything, or only what the server sends, so that what was asked is still done."""


class SilentProxy:
    """Passes bytes between clients and one server, each connection for itself."""

    def __init__(self, host: str, port: int) -> None:
        """Listen on a port of one's own."""
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lost_by_default: Lost | None = None
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self, lost: Lost = "all", *, new_too: bool = False, after_bytes: int = 0) -> int:
        """Let all present connections fall silent for good, and with `new_too` new ones; return how many there were.

        Of what the server sends next on a present one, its client still gets the first `after_bytes`.
        """
        with self._lock:
            self._lost_by_default = lost if new_too else None
            present = [link for link in self._links if not link.is_closed]
            for link in present:
                link.still_answered = after_bytes
                link.lost = lost
            return len(present)

    def heal(self) -> None:
        """Let new connections work; the old ones stay silent."""
        with self._lock:
            self._lost_by_default = None

    def __enter__(self) -> Self:
        """Return the proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._listener.close()
        with self._lock:
            for link in self._links:
                link.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                lost = self._lost_by_default
                with contextlib.suppress(OSError):
                    self._links.append(_Link(client, socket.create_connection(self._target, timeout=10), lost=lost))


class _Link:
    """One client's connection, and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket, *, lost: Lost | None) -> None:
        server.settimeout(None)
        self.lost = lost
        self.still_answered = 0
        """Bytes of the server's next message that still pass."""
        self.is_closed = False
        self._sockets = (client, server)
        threading.Thread(target=self._pump, args=(client, server, ("all",)), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, ("all", "answers")), daemon=True).start()

    def close(self) -> None:
        self.is_closed = True
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, sink: socket.socket, stopped_by: tuple[Lost, ...]) -> None:
        try:
            while data := source.recv(65536):
                # What was lost is read all the same, and so acknowledged.
                if self.lost not in stopped_by:
                    sink.sendall(data)
                elif self.still_answered and "answers" in stopped_by:
                    sink.sendall(data[: self.still_answered])
                    self.still_answered = 0
        except OSError:
            pass
        # The other side of a silent hop never hears of an end either.
        if self.lost is None:
            self.close()
