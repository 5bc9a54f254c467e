"""An S3 server for the tests: moto's, in this process, on a random port, with a bucket of its own for each store."""

import contextlib
import io
import logging
import pathlib
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic
from moto.server import ThreadedMotoServer

from shared import ids, settings

SECRET = "an-s3-secret"


class S3:
    """A running server."""

    def __init__(self, url: str) -> None:
        """Keep where it is."""
        self.url = url

    def variables(self, prefix: str = "objects") -> dict[str, str]:
        """Make an empty bucket, and give what the settings need to use it, without their prefix."""
        bucket = f"bucket-{ids.new_ulid().lower()}"
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{bucket}", method="PUT"), timeout=10):
            pass
        return {
            "STORAGE_URL": f"s3://{bucket}/{prefix}".rstrip("/"),
            "STORAGE_ENDPOINT": self.url,
            "STORAGE_ACCESS_KEY_ID": "an-id",
            "STORAGE_SECRET_ACCESS_KEY": SECRET,
        }

    def config(self, home: pathlib.Path, **changes: Any) -> settings.Settings:
        """Give settings that use a bucket of their own."""
        given: dict[str, Any] = {name.lower(): value for name, value in self.variables().items()}
        given["storage_secret_access_key"] = pydantic.SecretStr(SECRET)
        return settings.Settings(home=home, **{**given, **changes})


class _Atomic:
    """Lets one request write at a time: S3 tests a condition and writes at once, moto one after the other."""

    def __init__(self, application: Any) -> None:
        """Stand before an application."""
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("PUT", "POST") or not environ.get("CONTENT_LENGTH"):
            response: Iterable[bytes] = self._application(environ, start_response)
            return response
        # A client that sends slowly holds nobody up.
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        with self._lock:
            return [*self._application(environ, start_response)]


@contextlib.contextmanager
def served() -> Iterator[S3]:
    """Run a server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    server._server.app = _Atomic(server._server.app)
    try:
        host, port = server.get_host_and_port()
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
