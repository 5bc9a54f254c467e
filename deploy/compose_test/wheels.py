"""The packages of the locks, fetched by this machine's own pip and served to the builds on loopback."""

import functools
import http.server
import pathlib
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from packaging.requirements import Requirement

from deploy.compose_test import shell


def fetch(folder: pathlib.Path, *, locks: Sequence[pathlib.Path], python_version: str) -> None:
    """Put every wheel of the locks into `folder`, with whatever index pip is configured for here."""
    fetched: set[str] = set()
    for lock in locks:
        missing = [each for each in pinned(lock.read_text(), python_version=python_version) if each not in fetched]
        _download(folder, missing, python_version=python_version)
        fetched.update(missing)


def pinned(lock_text: str, *, python_version: str) -> list[str]:
    """List a lock's requirements with their hashes that hold for a Python version, the markers taken off.

    pip would judge the markers by the Python it runs on, which need not be the images'.
    """
    environment = {"python_full_version": python_version, "python_version": ".".join(python_version.split(".")[:2])}
    chosen = []
    for entry in lock_text.replace("\\\n", " ").splitlines():
        text, *hashes = entry.split("--hash=")
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            chosen.append(" ".join([str(requirement), *(f"--hash={each.strip()}" for each in hashes)]))
    return chosen


def _download(folder: pathlib.Path, lines: Sequence[str], *, python_version: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines))
        file.flush()
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--no-deps"]
        argv += ["--only-binary", ":all:", "--python-version", python_version]
        shell.run([*argv, "--require-hashes", "--requirement", file.name])


@contextmanager
def served(folder: pathlib.Path) -> Iterator[dict[str, str]]:
    """Serve `folder` on a free port of loopback and return the variables by which the builds find it."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            yield {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": address, "BUILD_NETWORK": "host"}
        finally:
            server.shutdown()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so.
        """Say nothing: a line for each wheel would bury the steps."""
