"""Sends requests with wrk, a load generator in C, so that it takes little from the cores that it shares."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import psutil

from benchmarks import measures

_SCRIPT = pathlib.Path(__file__).parent / "load.lua"
_PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
_BUSY = 429


class Load(NamedTuple):
    """What came of a while of load; times in milliseconds, processor time of the server's processes in microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float
    refused: int
    """Answers of the status 429."""
    failed: int
    """Other answers than 200, and connections that broke or waited too long."""


class LoadGenerator:
    """wrk, from this machine or unpacked from Debian's packages into a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Find it; FileNotFoundError, which says what to install, when it is neither here nor to be had."""
        self._env = dict(os.environ)
        self._program = shutil.which("wrk") or self._unpack(folder)

    def _unpack(self, folder: pathlib.Path) -> str:
        root = folder / "root"
        program = root / "usr/bin/wrk"
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                subprocess.run(["apt-get", "download", *_PACKAGES], cwd=folder, check=True, capture_output=True)
                for package in folder.glob("*.deb"):
                    subprocess.run(["dpkg", "-x", package, root], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise FileNotFoundError("wrk is missing, and Debian's package can't be had; install wrk") from error
        libraries = [f"{path.parent}" for path in root.rglob("libluajit*.so*")]
        self._env["LD_LIBRARY_PATH"] = ":".join(libraries)
        return f"{program}"

    def run(
        self, url: str, bodies: Sequence[dict[str, Any]], *, clients: int, seconds: float, pid: int, key: str = ""
    ) -> Load:
        """Let clients post the bodies by turns, each one as soon as its last answer is there.

        `pid` is the process that, with its descendants, serves.
        """
        with tempfile.TemporaryDirectory() as folder:
            lines = pathlib.Path(folder) / "bodies"
            lines.write_text("".join(f"{json.dumps(body, separators=(',', ':'))}\n" for body in bodies))
            options = [
                "-t",
                "2" if clients > 64 else "1",
                "-c",
                f"{clients}",
                "-d",
                f"{seconds:g}s",
                "--timeout",
                "30s",
            ]
            command = [self._program, *options, "-s", f"{_SCRIPT}", url, "--", f"{lines}", key]
            before = measures.total_seconds(_find_tree(pid))
            done = subprocess.run(command, env=self._env, check=True, capture_output=True, text=True)
            cpu = measures.total_seconds(_find_tree(pid)) - before
        found = json.loads(done.stdout.rpartition("RESULT ")[2])
        count, refused = max(1, found["requests"]), found["statuses"].get(f"{_BUSY}", 0)
        return Load(
            rate=(found["requests"] - sum(found["statuses"].values())) / found["seconds"],
            p50=found["p50"],
            p99=found["p99"],
            cpu=cpu * 1e6 / count,
            refused=refused,
            failed=sum(found["statuses"].values()) - refused + found["broken"],
        )


def _find_tree(pid: int) -> list[psutil.Process]:
    return measures.find_tree(pid)
