"""An S3 server for the tests: moto's, in this process, on a random port, with a bucket of its own for each store."""

import contextlib
import logging
import pathlib
import urllib.request
from collections.abc import Iterator
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


@contextlib.contextmanager
def served() -> Iterator[S3]:
    """Run a server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
