"""A supervisor in a process of its own, with what it prints."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
GONE_SECONDS = 30


class Supervised:
    """Services under a supervisor."""

    def __init__(self, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.deploy.supervised", *names],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, text: str) -> str:
        """Read on to the first line that holds a text."""
        seen = []
        for line in self.process.stdout or ():
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r}:\n{''.join(seen)}")

    def event(self, text: str) -> dict[str, Any]:
        """Read on to the first event whose line holds a text."""
        event: dict[str, Any] = json.loads(self.wait_for(text))
        return event

    def tree(self) -> list[psutil.Process]:
        """Return all its processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def find(self, name: str) -> psutil.Process:
        """Wait until one of its own children has a title that ends with a name."""
        limit = time.monotonic() + GONE_SECONDS
        while time.monotonic() < limit:
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    # A fork has its parent's title at first; a title is filled up with blanks.
                    if " ".join(child.cmdline()).strip().endswith(f"deploy.up: {name}"):
                        return child
            time.sleep(0.05)
        raise AssertionError(f"there is no {name}: {self.tree()}")

    def close(self) -> None:
        tree = self.tree() if self.process.poll() is None else []
        self.process.kill()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervised]]:
    """Yield a function that starts services under a supervisor."""
    started: list[Supervised] = []

    def start(*names: str) -> Supervised:
        started.append(Supervised(*names))
        return started[-1]

    yield start
    for supervised in started:
        supervised.close()


def are_gone(processes: list[psutil.Process]) -> bool:
    """Wait for the end of processes; False when some live on."""
    _gone, alive = psutil.wait_procs(processes, timeout=GONE_SECONDS)
    return not [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
