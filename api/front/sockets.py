"""What granian has no setting for: the options of its listening sockets, and the end of accepting before its own end.

granian keeps the descriptors of its sockets to itself, so they are found among those of this process.
"""

import os
import socket
import stat
from collections.abc import Iterator

_MAX_FD = 256
_KEEP_ALIVE_SECONDS = 30


def limit_silence(*, seconds: int) -> int:
    """Let the kernel end connections whose peer accepts nothing for `seconds`, or is gone; returns the sockets found.

    Applies to what is accepted from now on by this process's listening TCP sockets: on Linux, accepted connections have
    the options of their listening socket.
    """
    found = 0
    for listener in _listeners():
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_USER_TIMEOUT", seconds * 1000),
            ("TCP_KEEPIDLE", _KEEP_ALIVE_SECONDS),
            ("TCP_KEEPINTVL", _KEEP_ALIVE_SECONDS // 3),
        ):
            if hasattr(socket, name):
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        found += 1
    return found


def stop_accepting() -> int:
    """Accept nothing more in this process, and leave what comes to those with whom it shares its listening sockets.

    granian stops accepting when it closes its connections, also those on which the client has not asked yet. So a
    socket that nobody connects to takes the place of each listening one. Returns how many there were.
    """
    found = 0
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        nobody.listen(1)
        nobody.setblocking(False)
        for listener in _listeners():
            if listener.fileno() != nobody.fileno():
                os.dup2(nobody.fileno(), listener.fileno())
                found += 1
    return found


def _listeners() -> Iterator[socket.socket]:
    """Yield this process's listening TCP sockets, by their own descriptors, which stay open."""
    for descriptor in range(3, _MAX_FD):
        if not _is_socket(descriptor):
            continue
        listener = socket.socket(fileno=descriptor)
        try:
            is_tcp = listener.family in {socket.AF_INET, socket.AF_INET6} and listener.type == socket.SOCK_STREAM
            if is_tcp and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield listener
        finally:
            listener.detach()


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False
