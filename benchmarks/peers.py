"""Runs the peers: bare Celery on the same RabbitMQ, Procrastinate on the same PostgreSQL."""

import array
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import celery
import psycopg

from benchmarks import celery_peer, measures
from tests import servers_guard, servers_postgres

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
PEERS = pathlib.Path(__file__).parent / ".peers"
WARM_UP_JOBS = 100
LONGEST_SECONDS = 120.0


class PeerError(Exception):
    """A measured system failed, or did not do what it should."""


def run(command: list[Any], *, env: dict[str, str] | None = None) -> str:
    """Run a command to its end, and return its output; PeerError when it fails."""
    result = subprocess.run(
        list(map(str, command)), cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    if result.returncode:
        raise PeerError(f"{command}: {result.stdout}{result.stderr}"[-3000:])
    return result.stdout


def wait_until(is_ready: Callable[[], bool], what: str) -> None:
    """Poll a condition every 10 ms until it holds; PeerError, which names `what`, when it takes too long."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise PeerError(f"{what} took more than {LONGEST_SECONDS:.0f} s")
        time.sleep(0.01)


class Celery:
    """Bare Celery: one producer, two worker processes."""

    name = "Celery, RabbitMQ quorum queue with confirms"

    def __init__(self, folder: pathlib.Path, *, broker_url: str, processes: int) -> None:
        """Set up its environment: a folder for its files, and a virtual host of its own."""
        self._folder = folder
        self._record = folder / "celery.record"
        self._broker_url = broker_url
        self._env = {**os.environ, "BENCH_BROKER_URL": broker_url, "BENCH_RECORD": str(self._record)}
        self._processes = processes
        self._count = 1
        self.version = celery.__version__

    @contextlib.contextmanager
    def running(self) -> Iterator[servers_guard.Guarded]:
        """Run its worker, warmed up, while the block runs."""
        self._record.write_bytes(b"")
        worker = servers_guard.Guarded(
            [sys.executable, "-m", "celery", "-A", "benchmarks.celery_peer", "worker", "-c", f"{self._processes}"],
            log=self._folder / "celery.log",
            env=self._env,
            cwd=CHECKOUT,
        )
        try:
            self._produce(WARM_UP_JOBS)
            yield worker
        finally:
            worker.end()

    def measure(self, count: int) -> measures.Run:
        """Send jobs from one producer, and wait until the last has run."""
        with self.running() as worker:
            groups = {
                "worker parent": lambda: measures.find_process(worker.pid),
                "worker children": lambda: measures.find_descendants(worker.pid),
                "RabbitMQ": lambda: measures.find_server(self._broker_url, default_port=5672),
            }
            with measures.ProcessorTimes(groups) as times:
                sent, done = self._produce(count)
        return measures.Run(sent, done, times.seconds)

    def _produce(self, count: int) -> tuple[list[float], list[float]]:
        first = self._count + 1
        # The number before the first one belongs to the task that opens the connection.
        self._count = first + count
        sent_path = self._folder / "celery.sent"
        size = self._record.stat().st_size + (count + 1) * celery_peer.RECORD.size
        run([sys.executable, "-m", "benchmarks.celery_peer", first, count, sent_path], env=self._env)
        wait_until(lambda: self._record.stat().st_size >= size, "Celery's jobs")
        sent = array.array("d")
        sent.frombytes(sent_path.read_bytes())
        return list(sent), celery_peer.read_record(self._record, first, count)


class Procrastinate:
    """Procrastinate: one producer, and as many concurrent jobs as the other systems."""

    name = "Procrastinate, PostgreSQL"

    def __init__(self, folder: pathlib.Path, *, postgres: servers_postgres.Postgres, processes: int) -> None:
        """Install it into its own venv if it is missing, and create its database."""
        self._folder = folder
        self._processes = processes
        self._python = install("procrastinate", "psycopg[binary]")
        self._url = postgres.create_database().replace("postgresql+psycopg", "postgresql")
        self._env = {**os.environ, "BENCH_POSTGRES_URL": self._url}
        self._run_script("schema")
        self.version = run(
            [self._python, "-c", "import importlib.metadata as m; print(m.version('procrastinate'))"]
        ).strip()

    def _run_script(self, *arguments: Any) -> None:
        run([self._python, pathlib.Path(__file__).parent / "procrastinate_peer.py", *arguments], env=self._env)

    @contextlib.contextmanager
    def running(self) -> Iterator[list[servers_guard.Guarded]]:
        """Run its workers, one job at a time each, warmed up, while the block runs."""
        script = pathlib.Path(__file__).parent / "procrastinate_peer.py"
        workers = [
            servers_guard.Guarded(
                [self._python, script, "work", "1"], log=self._folder / "procrastinate.log", env=self._env
            )
            for _ in range(self._processes)
        ]
        try:
            self._produce(WARM_UP_JOBS, 1)
            yield workers
        finally:
            for worker in workers:
                worker.end()

    def measure(self, count: int, *, batch: int = 1) -> measures.Run:
        """Defer jobs from one producer, and wait until the last has succeeded."""
        with self.running() as workers:
            groups = {
                "workers": lambda: [process for worker in workers for process in measures.find_tree(worker.pid)],
                "PostgreSQL": lambda: measures.find_server(self._url, default_port=5432),
            }
            with measures.ProcessorTimes(groups) as times:
                sent, done = self._produce(count, batch)
        return measures.Run(sent, done, times.seconds)

    def _produce(self, count: int, batch: int) -> tuple[list[float], list[float]]:
        sent_path = self._folder / "procrastinate.sent"
        self._run_script("produce", count, batch, sent_path)
        sent: dict[int, float] = {int(job): at for job, at in json.loads(sent_path.read_text()).items()}
        with psycopg.connect(self._url, autocommit=True) as connection:

            def is_drained() -> bool:
                row = connection.execute(
                    "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
                ).fetchone()
                time.sleep(0.05)
                return row == (False,)

            wait_until(is_drained, "Procrastinate's jobs")
            done: dict[int, float] = dict(
                connection.execute(
                    "SELECT job_id, extract(epoch FROM at)::float8 FROM procrastinate_events"
                    " WHERE type = 'succeeded' AND job_id >= %s",
                    [min(sent)],
                ).fetchall()
            )
        return list(sent.values()), [done[job] for job in sent]


def install(*packages: str) -> pathlib.Path:
    """Install packages into the peers' venv, unless it has exactly these, and return its Python."""
    python = PEERS / "bin" / "python"
    marker = PEERS / "installed"
    if not marker.exists() or marker.read_text() != " ".join(packages):
        run([sys.executable, "-m", "venv", "--clear", PEERS])
        run([python, "-m", "pip", "install", "--quiet", *packages])
        marker.write_text(" ".join(packages))
    return python
