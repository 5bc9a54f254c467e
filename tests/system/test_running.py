"""`make up` and `make demo`, as an operator and a stranger run them."""

import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from tests import servers_sources

ROOT = pathlib.Path(__file__).parents[2]
READY_SECONDS = 120
GONE_SECONDS = 60


class Up:
    """`make up`, with its lines."""

    def __init__(self, home: pathlib.Path, *arguments: str) -> None:
        """Start it on free ports."""
        self.api_port, self.flower_port = servers_sources.free_port(), servers_sources.free_port()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.up", *arguments],
            cwd=ROOT,
            env={
                **plain,
                "MILLRACE_HOME": str(home),
                "MILLRACE_API_PORT": str(self.api_port),
                "MILLRACE_FLOWER_PORT": str(self.flower_port),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.put(line)

    def close(self) -> None:
        """Stop it, if it runs, and read its last lines."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self._reading.join(timeout=10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def wait_for(self, text: str) -> str:
        """Wait for the first line that begins with or contains a text, and return it."""
        limit = time.monotonic() + READY_SECONDS
        seen = []
        while time.monotonic() < limit:
            try:
                line = self.lines.get(timeout=1)
            except queue.Empty:
                continue
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r}:\n{''.join(seen[-40:])}")

    def processes(self) -> list[psutil.Process]:
        """Return everything that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "home"


@pytest.fixture
def up(home: pathlib.Path) -> Iterator[Up]:
    running = Up(home, "--scale", "training=2")
    yield running
    running.close()


def test_up_runs_everything_survives_a_killed_worker_and_leaves_nothing_behind(up: Up) -> None:
    ready = up.wait_for("ready http")
    assert ready.startswith("ready ")
    assert f"http://127.0.0.1:{up.api_port}" in ready
    assert f"http://127.0.0.1:{up.flower_port}" in ready
    with urllib.request.urlopen(f"http://127.0.0.1:{up.api_port}/readyz") as answer:
        assert b'"ready"' in answer.read()

    workers = [one for one in up.processes() if one.cmdline()[1:4] == ["-m", "workers", "training"]]
    parents = [one for one in workers if one.ppid() not in {other.pid for other in workers}]
    assert len(parents) == 2
    parents[0].kill()
    assert "training" in up.wait_for("starting it again")
    up.wait_for("worker_started")

    started = up.processes()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    _gone, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_up_refuses_a_home_that_another_runs_and_takes_its_processes_with_it_when_it_is_killed(
    up: Up, home: pathlib.Path
) -> None:
    up.wait_for("ready http")
    second = subprocess.run(
        [sys.executable, "-m", "deploy.up"],
        cwd=ROOT,
        env={**os.environ, "MILLRACE_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"an earlier `make up` of this home still runs (pid {up.process.pid})" in second.stderr

    started = up.processes()
    up.process.kill()
    _gone, alive = psutil.wait_procs(started, timeout=GONE_SECONDS)
    assert alive == []
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", up.api_port), timeout=5).close()


def test_up_says_which_port_is_taken(home: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.up"],
            cwd=ROOT,
            env={**os.environ, "MILLRACE_HOME": str(home), "MILLRACE_API_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"port {port} is taken; set MILLRACE_API_PORT" in done.stderr


def test_the_demo_goes_from_a_csv_to_predictions_and_works_twice() -> None:
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.demo"], cwd=ROOT, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for kind in ("ingestion.load", "processing.fit", "training.fit", "evaluation.score", "prediction.batch"):
            assert kind in done.stdout
        assert "ROC AUC" in done.stdout
        assert "make up" in done.stdout
