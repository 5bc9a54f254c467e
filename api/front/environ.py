"""Makes the WSGI environment of a request (PEP 3333)."""

import sys
from typing import TYPE_CHECKING, Any

from api.front import bodies

if TYPE_CHECKING:
    from granian.rsgi import Scope

_CONSTANT: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


def make(scope: "Scope") -> dict[str, Any]:
    """Make the environment of a request whose body has not been read."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        **_CONSTANT,
        "REQUEST_METHOD": scope.method,
        # Text as latin-1, as WSGI wants it.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": bodies.UNREAD,
    }
    for name, value in scope.headers.items():
        key = _key_of(name)
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _key_of(header: str) -> str:
    key = header.upper().replace("-", "_")
    return key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
