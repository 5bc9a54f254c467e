"""Starts our programs by the fork server, where there is one: as real as any process, and without the imports' cost.

Only tests have one. `offer` says where it shall listen; the first program that is started begins it, for all processes
that run tests. Whoever proves that a command line starts a program takes `servers_guard.Guarded` instead.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

from tests import servers_guard

ADDRESS_VARIABLE = "MILLRACE_TEST_FORK_SERVER"
OWNER_VARIABLE = "MILLRACE_TEST_FORK_SERVER_OWNER"
CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
MODULES = (
    *("api", "migrations", "sweeper", "workers", "workers.prediction.online"),
    *("tests.system.api_server", "tests.system.worker"),
)
START_SECONDS = 120.0


def offer(folder: pathlib.Path) -> None:
    """Let this process and those that it starts have a fork server, which ends with this process."""
    os.environ[ADDRESS_VARIABLE] = str(folder / "fork-server")
    os.environ[OWNER_VARIABLE] = str(os.getpid())


def start(
    command: Sequence[str | os.PathLike[str]], *, log: pathlib.Path, env: Mapping[str, str], cwd: pathlib.Path
) -> servers_guard.Guarded:
    """Start a program: by the fork server if there is one that knows its module, else by its command."""
    if can_start(command):
        return Forked(list(map(str, command[2:])), log=log, env=env, cwd=cwd)
    return servers_guard.Guarded(command, log=log, env=env, cwd=cwd)


def run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: pathlib.Path, timeout_seconds: float
) -> tuple[int, str, str]:
    """Run a program to its end as `start` does; returns its status, its output and what it wrote to stderr."""
    if not can_start(command):
        ended = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        return ended.returncode, ended.stdout, ended.stderr
    with tempfile.TemporaryDirectory() as folder:
        output, complaints = pathlib.Path(folder, "output"), pathlib.Path(folder, "complaints")
        program = Forked(command[2:], log=output, complaints=complaints, env=env, cwd=cwd)
        try:
            return program.status(timeout_seconds=timeout_seconds), output.read_text(), complaints.read_text()
        finally:
            program.close()


def can_start(command: Sequence[str | os.PathLike[str]]) -> bool:
    """Tell whether there is a fork server that starts what a command line would start."""
    is_ours = command[:2] == [sys.executable, "-m"] and command[2] in MODULES
    return is_ours and ADDRESS_VARIABLE in os.environ


class Forked(servers_guard.Guarded):
    """A program of ours that was started by forking; sure to end with this process, as any guarded one."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        log: pathlib.Path,
        complaints: pathlib.Path | None = None,
        env: Mapping[str, str],
        cwd: pathlib.Path,
    ) -> None:
        """Start the module that the first argument names; what it writes to stderr may have a file of its own."""
        module = arguments[0]
        request = {
            "arguments": list(arguments),
            "stdout": str(log.absolute()),
            "stderr": str((complaints or log).absolute()),
            "env": dict(env),
            "cwd": str(cwd),
            "libraries": module == "workers" or "MILLRACE_TEST_OWN_JOBS" in env,
        }
        self._connection = connect()
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._connection.makefile()
        answer = self._answers.readline()
        if not answer.startswith("pid "):
            self.close()
            raise OSError(f"{module} could not be started: {answer.strip() or 'no answer'}; see {log_of_server()}")
        self.pid = int(answer.split()[1])

    def status(self, *, timeout_seconds: float) -> int:
        """Wait for the program's end, and return its status; TimeoutError when it does not come."""
        self._connection.settimeout(timeout_seconds)
        return int(self._answers.readline().split()[1])

    def close(self) -> None:
        """End the program's group."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(servers_guard.GRACE_SECONDS * 3)
            self._answers.read()
        self._answers.close()
        self._connection.close()


def connect() -> socket.socket:
    """Connect to the fork server, and start it if it does not run yet."""
    address = os.environ[ADDRESS_VARIABLE]
    with locked(pathlib.Path(f"{address}.lock")):
        if (connection := _try(address)) is not None:
            return connection
        _begin_server(address)
        until = time.monotonic() + START_SECONDS
        while (connection := _try(address)) is None:
            if time.monotonic() > until:
                raise OSError(f"the fork server does not listen; see {log_of_server()}")
            time.sleep(0.05)
    return connection


def _begin_server(address: str) -> None:
    # Not subprocess: nobody waits for this process, which outlives the one that starts it.
    log = (str(log_of_server()), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tests.fork_server", address, os.environ[OWNER_VARIABLE]],
        {**os.environ, "PYTHONPATH": str(CHECKOUT)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, *log),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _try(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def log_of_server() -> pathlib.Path:
    """Return the fork server's log."""
    return pathlib.Path(f"{os.environ[ADDRESS_VARIABLE]}.log")


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    """Keep other processes out of the block."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
