"""The socket on which the API listens: its own, or one that a supervisor holds over restarts."""

import socket

from shared import settings

BACKLOG = 4096
"""Connections that wait in the kernel while the API is busy or restarts; the kernel's `somaxconn` may allow fewer."""


def listen(config: settings.Settings) -> socket.socket:
    """Return the inherited socket if the settings name one, else a new one; raises OSError when the address is taken.

    Connections to an inherited socket wait while nobody accepts them, so a restart refuses none. The kernel's option
    that would let two servers share an address (SO_REUSEPORT) is not used: the second would take part of the requests,
    and those that wait for a server that closes would be reset.
    """
    if config.api_listen_fd is not None:
        inherited = socket.socket(fileno=config.api_listen_fd)
        inherited.setblocking(False)
        return inherited
    family, kind, protocol, _, address = socket.getaddrinfo(
        config.api_host, config.api_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
