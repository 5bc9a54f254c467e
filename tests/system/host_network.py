"""A host's network: a namespace of the kernel, from which one cable leads to the servers of this machine.

What listens on this machine's loopback is out of a host's reach; only the servers that it was given are passed on.
"""

import contextlib
import re
import secrets
import socket
import subprocess
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Self

_PORTS = {"postgresql": 5432, "postgresql+psycopg": 5432, "amqp": 5672, "redis": 6379, "http": 80}
_LOOPBACK = re.compile(r"\b(127\.0\.0\.1|localhost)\b")
_CHUNK_BYTES = 64 * 1024


class NoNetworkError(Exception):
    """No network can be made here; the message says why."""


class HostNetwork:
    """A network that reaches some servers of this machine's loopback."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Lay the cable, and pass on the servers that these URLs name; raises NoNetworkError."""
        ports = {_port(url) for url in urls}
        token = secrets.token_hex(3)
        self._name, self._cable = f"millrace-{token}", f"mr{token}"
        self._address = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.1"
        self._listeners: list[socket.socket] = []
        try:
            self._lay()
            for port in ports:
                self._pass_on(port)
        except (OSError, subprocess.SubprocessError) as fault:
            self.close()
            raise NoNetworkError(f"no network namespace can be made here: {fault}") from fault

    def within(self) -> list[str]:
        """Return what a command begins with that shall run in the network."""
        return ["ip", "netns", "exec", self._name]

    def url(self, url: str) -> str:
        """Return a URL of this machine as it is in the network."""
        return _LOOPBACK.sub(self._address, url)

    def close(self) -> None:
        """Remove the network."""
        for listener in self._listeners:
            listener.close()
        with contextlib.suppress(OSError):
            subprocess.run(["ip", "netns", "delete", self._name], check=False, capture_output=True)

    def __enter__(self) -> Self:
        """Return the network."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.close()

    def _lay(self) -> None:
        other = self._address.removesuffix("1") + "2"
        inside = self.within()
        for command in (
            ["ip", "netns", "add", self._name],
            ["ip", "link", "add", self._cable, "type", "veth", "peer", "name", "cable", "netns", self._name],
            ["ip", "address", "add", f"{self._address}/30", "dev", self._cable],
            ["ip", "link", "set", self._cable, "up"],
            [*inside, "ip", "address", "add", f"{other}/30", "dev", "cable"],
            [*inside, "ip", "link", "set", "cable", "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=10)

    def _pass_on(self, port: int) -> None:
        listener = socket.create_server((self._address, port))
        self._listeners.append(listener)
        threading.Thread(target=_serve, args=(listener, port), daemon=True).start()


def _port(url: str) -> int:
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname or not _LOOPBACK.fullmatch(parts.hostname):
        raise NoNetworkError(f"a server is at {parts.hostname or 'a socket of the file system'}, not on the loopback")
    return parts.port or _PORTS[parts.scheme]


def _serve(listener: socket.socket, port: int) -> None:
    for near in _accepted(listener):
        threading.Thread(target=_bridge, args=(near, port), daemon=True).start()


def _bridge(near: socket.socket, port: int) -> None:
    with near, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far:
        back = threading.Thread(target=_copy, args=(far, near), daemon=True)
        back.start()
        _copy(near, far)
        back.join()


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):
        while True:
            yield listener.accept()[0]


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
