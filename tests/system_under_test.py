"""The whole system as real processes, for system tests and benchmarks.

With URLs of servers or, without any, as the embedded default. Every process logs to a file of its own in the system's
home and ends with the process that started it, even if that is killed.
"""

import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
import psutil

from tests import forked, servers_guard, servers_sources

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
READY_SECONDS = 60.0
ROLES = ("ingestion", "processing", "training", "evaluation", "prediction", "storage", "orchestration")


class SystemFailedError(Exception):
    """A process of the system did not do what it should; the message holds the end of its log."""


class System:
    """Millrace with a home, a port and databases of its own.

    A process is named for what it runs: `valkey` (embedded only), `api`, `sweeper`, or the roles of a worker with
    commas between them (`evaluation`, `training,processing`); `#2` makes a second one of the same (`training#2`).
    """

    def __init__(
        self,
        home: pathlib.Path,
        *,
        database_url: str = "",
        broker_url: str = "",
        redis_url: str = "",
        storage_url: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Keep where things are; `settings` are further environment variables. Nothing runs yet."""
        self.home = home
        self.port = servers_sources.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.inference_port = servers_sources.free_port()
        self.inference_url = f"http://127.0.0.1:{self.inference_port}"
        self.key = ""
        self.processes: dict[str, servers_guard.Guarded] = {}
        self._embedded = not (broker_url and redis_url)
        given = {
            "MILLRACE_HOME": str(home),
            "MILLRACE_API_PORT": str(self.port),
            "MILLRACE_INFERENCE_PORT": str(self.inference_port),
            "MILLRACE_INFERENCE_DRAIN_SECONDS": "0",
            "MILLRACE_DATABASE_URL": database_url,
            "MILLRACE_BROKER_URL": broker_url,
            "MILLRACE_REDIS_URL": redis_url,
            "MILLRACE_STORAGE_URL": storage_url,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
        self.env = {**inherited, **{name: value for name, value in given.items() if value}, **(settings or {})}
        self._client: httpx.Client | None = None

    def prepare(self) -> None:
        """Make the databases and an administrator's key."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.run("migrations", "upgrade", "all")
        self.key = self.run("api", "keys", "create", "--name", "tests", "--scope", "admin").strip()

    def make_service_key(self) -> None:
        """Make the key with which runs of pipelines act, as `make up` does."""
        file = str(self.home / "secrets" / "service")
        self.run("api", "keys", "create", "--name", "orchestration", "--scope", "service", "--file", file)

    def run(self, module: str, *arguments: str, timeout_seconds: float = 120.0) -> str:
        """Run a command of the system to its end and give what it printed."""
        command = [sys.executable, "-m", module, *arguments]
        status, output, complaints = forked.run(command, env=self.env, cwd=CHECKOUT, timeout_seconds=timeout_seconds)
        if status:
            raise SystemFailedError(f"python -m {module} {' '.join(arguments)}: {output}{complaints}"[-4000:])
        return output

    def start(self, names: Sequence[str] = ("api", "sweeper", *ROLES)) -> None:
        """Start processes that do not run yet and wait until each is ready; the embedded Valkey comes first."""
        if not self.key:
            self.prepare()
        wanted = (["valkey"] if self._embedded else []) + list(names)
        fresh = [name for name in dict.fromkeys(wanted) if not self.alive(name)]
        for name in fresh:
            if name in self.processes:
                self.processes.pop(name).close()
            self.processes[name] = forked.start(command_of(name), log=self.log(name), env=self.env, cwd=CHECKOUT)
        if "api" in self.processes:
            self._wait_until(self._api_answers, "api")
        if "inference" in fresh:
            self._wait_until(lambda: _is_healthy(self.inference_url), "inference")
        workers = [name for name in fresh if name not in ("valkey", "api", "sweeper", "inference")]
        if workers and "api" in self.processes:
            self._wait_until(lambda: all(self._worker_registered(name) for name in workers), workers[0])

    def alive(self, name: str) -> bool:
        """Tell whether a process runs."""
        return name in self.processes and self.processes[name].alive()

    def serving(self) -> list[psutil.Process]:
        """List the processes of the API that serve: its children, without the one in which Python tracks resources."""
        children = psutil.Process(self.processes["api"].pid).children()
        return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process itself, such as SIGSTOP or SIGTERM."""
        self.processes[name].signal(number)

    def kill(self, name: str) -> None:
        """End a process and its children as `kill -9` does."""
        self.processes.pop(name).end()

    def kill_parent(self, name: str) -> None:
        """Kill -9 the process alone; its children live on for as long as they can, and end with `stop`."""
        self.processes[name].signal(signal.SIGKILL)

    def stop(self, names: Sequence[str] | None = None, *, timeout_seconds: float = 40.0) -> None:
        """Ask processes to end, all when none is named, and kill those that do not."""
        chosen = list(self.processes) if names is None else [name for name in names if name in self.processes]
        # The Valkey goes last: the others speak with it while they end.
        for group in ([name for name in chosen if name != "valkey"], [name for name in chosen if name == "valkey"]):
            for name in group:
                self.processes[name].signal(signal.SIGCONT)
                self.processes[name].signal(signal.SIGTERM)
            until = time.monotonic() + timeout_seconds
            for name in group:
                self.processes[name].wait(timeout_seconds=max(0.1, until - time.monotonic()))
                self.processes.pop(name).end()

    def log(self, name: str) -> pathlib.Path:
        """Return the file to which a process logs."""
        return self.home / f"{name.replace(',', '-')}.log"

    @property
    def client(self) -> httpx.Client:
        """A client of the API with the administrator's key."""
        if self._client is None:
            self._client = httpx.Client(
                base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30.0
            )
        return self._client

    def close(self) -> None:
        """Stop everything."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self.stop(timeout_seconds=10.0)

    def __enter__(self) -> Self:
        """Return the system; nothing is started."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def _wait_until(self, ready: Callable[[], bool], name: str) -> None:
        until = time.monotonic() + READY_SECONDS
        while not ready():
            dead = [process for process in self.processes if not self.alive(process)]
            if dead or time.monotonic() > until:
                at_fault = dead[0] if dead else name
                tail = self.log(at_fault).read_text(errors="replace")[-4000:]
                raise SystemFailedError(f"{at_fault} {'ended' if dead else 'is not ready'}:\n{tail}")
            time.sleep(0.05)

    def _api_answers(self) -> bool:
        return _is_healthy(self.url)

    def _worker_registered(self, name: str) -> bool:
        try:
            answer = self.client.get("/v1/services")
        except httpx.TransportError:
            return False
        if answer.status_code != httpx.codes.OK:
            return False
        services = answer.json()["services"]
        pid = self.processes[name].pid
        return all(
            any(
                worker["pid"] == pid for service in services if service["role"] == role for worker in service["workers"]
            )
            for role in roles_of(name)
        )


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def roles_of(name: str) -> list[str]:
    """List the roles of a worker's process by its name."""
    return name.partition("#")[0].split(",")


def command_of(name: str) -> list[str]:
    """Build the command line of a process by its name."""
    arguments = {
        "valkey": ["shared.queues.embedded"],
        "api": ["api", "serve"],
        "sweeper": ["sweeper"],
        "inference": ["workers.prediction.online"],
    }
    return [sys.executable, "-m", *arguments.get(name, ["workers", *roles_of(name)])]
