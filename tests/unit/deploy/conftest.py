"""A supervisor in a process of its own, with what it prints."""

import json
import pathlib
import subprocess
import sys
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

    def tree(self) -> dict[str, psutil.Process]:
        """Return all its processes: by their title's last word, or by their pid where two have the same."""
        found: dict[str, psutil.Process] = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            # A title is filled up with blanks.
            name = " ".join(process.cmdline()).split()[-1]
            found[str(process.pid) if name in found else name] = process
        return found

    def close(self) -> None:
        for process in self.tree().values() if self.process.poll() is None else ():
            process.kill()
        self.process.kill()
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
