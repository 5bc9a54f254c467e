"""`make up` and `make demo`, as an operator and a stranger run them."""

import contextlib
import json
import os
import pathlib
import pty
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests import servers_sources

ROOT = pathlib.Path(__file__).parents[2]
READY_SECONDS = 180
GONE_SECONDS = 60
MOST_LINES = 40


class Up:
    """`make up`, with its lines."""

    def __init__(self, home: pathlib.Path, *arguments: str, on_terminal: bool = False) -> None:
        """Start it on free ports."""
        self.api_port, self.flower_port, self.inference_port = (servers_sources.free_port() for _ in range(3))
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
        plain.pop("NO_COLOR", None)
        self.env = {
            **plain,
            "TERM": "xterm",
            "MILLRACE_HOME": str(home),
            "MILLRACE_API_PORT": str(self.api_port),
            "MILLRACE_FLOWER_PORT": str(self.flower_port),
            "MILLRACE_INFERENCE_PORT": str(self.inference_port),
        }
        reading, writing = pty.openpty() if on_terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.up", *arguments],
            cwd=ROOT,
            env=self.env,
            stdout=writing,
            stderr=subprocess.STDOUT,
        )
        os.close(writing)
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []
        self._reading = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reading.start()

    def _read(self, descriptor: int) -> None:
        # A terminal that nobody writes to any more answers with an error.
        with os.fdopen(descriptor, encoding="utf-8") as output, contextlib.suppress(OSError):
            for line in output:
                self.lines.put(line)

    def close(self) -> None:
        """Stop it, if it runs, and read its last lines."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        self._reading.join(timeout=10)

    def wait_for(self, text: str) -> str:
        """Wait for the first line that contains a text, and return it."""
        limit = time.monotonic() + READY_SECONDS
        while time.monotonic() < limit:
            try:
                line = self.lines.get(timeout=1)
            except queue.Empty:
                continue
            self.seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r}:\n{''.join(self.seen[-40:])}")

    def run(self, *arguments: str) -> str:
        """Run one of our commands beside it, and return what that prints."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def processes(self) -> list[psutil.Process]:
        """Return everything that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def parents(self, title: str) -> list[psutil.Process]:
        """Return its own children with a title."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if " ".join(child.cmdline()).strip() == title]


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "home"


@pytest.fixture
def up(home: pathlib.Path) -> Iterator[Up]:
    running = Up(home, "--scale", "training=2")
    yield running
    running.close()


@pytest.fixture
def up_on_terminal(home: pathlib.Path) -> Iterator[Up]:
    running = Up(home, on_terminal=True)
    yield running
    running.close()


def test_up_runs_everything_survives_a_killed_worker_and_leaves_nothing_behind(up: Up) -> None:
    ready = up.wait_for("ready http")
    assert ready.startswith("ready ")
    assert f"http://127.0.0.1:{up.api_port}" in ready
    assert f"http://127.0.0.1:{up.flower_port}" in ready
    assert f"http://127.0.0.1:{up.inference_port}" in ready
    with urllib.request.urlopen(f"http://127.0.0.1:{up.api_port}/readyz") as answer:
        assert b'"ready"' in answer.read()
    assert (pathlib.Path(up.env["MILLRACE_HOME"]) / "secrets" / "service").stat().st_mode & 0o777 == 0o600
    texts = [line for line in up.seen if not line.startswith("{")]
    events = [json.loads(line) for line in up.seen if line.startswith("{")]
    # The banner, a line per process, and `ready`.
    assert [line.split()[0] for line in texts[1:]] == [
        *("broker", "api", "sweeper", "flower", "ingestion", "processing", "training.1", "training.2"),
        *("evaluation", "prediction", "storage", "orchestration", "inference", "ready"),
    ]
    assert {event["process"] for event in events if event.get("event") == "worker_started"} >= {"training.1", "storage"}
    assert len(up.seen) <= MOST_LINES, "".join(up.seen)
    assert not [line for line in up.seen if "superuser" in line or "celery@" in line]

    workers = up.parents("python -m workers training")
    assert len(workers) == 2
    (api,) = up.parents("python -m api serve")
    for killed, sign_of_life in ((workers[0], "worker_started"), (api, "  api ")):
        killed.kill()
        event = json.loads(up.wait_for("process_ended"))
        assert (event["status"], event["restart_seconds"]) == (-9, 1)
        up.wait_for(sign_of_life)

    started = up.processes()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    _gone, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_up_shows_jobs_in_colour_refuses_a_second_one_and_takes_its_processes_with_it_when_it_is_killed(
    up_on_terminal: Up, home: pathlib.Path
) -> None:
    up = up_on_terminal
    up.wait_for("ready http")
    assert not [line for line in up.seen if line.startswith("{")]
    key = up.run("api", "keys", "create", "--name", "test", "--scope", "write")
    client = httpx.Client(base_url=f"http://127.0.0.1:{up.api_port}", headers={"Authorization": f"Bearer {key}"})
    with client:
        job = client.post("/v1/jobs", json={"kind": "storage.ping", "params": {}}).json()
    shown = up.wait_for("job_succeeded")
    assert "\x1b[32mjob_succeeded" in shown
    assert f"storage.ping {job['id']}" in shown

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
