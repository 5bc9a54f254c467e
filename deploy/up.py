"""Runs the whole system in the foreground, and starts again what dies: python -m deploy.up [--scale training=3]."""

import argparse
import contextlib
import functools
import multiprocessing
import os
import pathlib
import shlex
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from multiprocessing import synchronize
from typing import Any

import honcho.environ
import honcho.manager
import honcho.printer
import honcho.process

from deploy import home_lock, lifeline
from migrations import command_line
from shared import database, roles, settings
from shared.jobs import workers

_ROOT = pathlib.Path(__file__).parent.parent
_GRACE_SECONDS = 5
_KILL_AFTER_GRACE_SECONDS = 10
_LONGEST_PAUSE_SECONDS = 10.0
_READY_SECONDS = 180


class _Respawning(honcho.process.Process):  # type: ignore[misc]  # honcho ships no types.
    """A process that is started again when it dies, until the whole system stops."""

    stopping: synchronize.Event
    supervisor: int
    supervisors_own_end: int

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:  # noqa: FBT001, FBT002 - honcho's signature.
        # Its closing tells that the supervisor has ended, so the supervisor alone may hold it.
        os.close(self.supervisors_own_end)
        pause = 1.0
        while True:
            began = time.monotonic()
            super().run(_UnlessStopping(events, self.stopping), ignore_signals)
            if lifeline.is_cut(self.supervisor):
                # Nobody reads our messages any more.
                events.cancel_join_thread()
                return
            if self.stopping.is_set():
                return
            pause = 1.0 if time.monotonic() - began > 30 else min(_LONGEST_PAUSE_SECONDS, pause * 2)
            self._send_message(f"ended with {self._child.returncode}; starting it again in {pause:g} s\n".encode())
            self.stopping.wait(pause)
            if self.stopping.is_set():
                self._events = events
                self._send_message({"returncode": self._child.returncode}, type="stop")
                return


class _UnlessStopping:
    """Passes events on, but tells of a stop only when the whole system stops."""

    def __init__(self, events: Any, stopping: synchronize.Event) -> None:
        self._events = events
        self._stopping = stopping

    def put(self, message: Any) -> None:
        if message.type != "stop" or self._stopping.is_set():
            self._events.put(message)


class _Signals:
    """Signals a process alone to end, so that a worker decides what becomes of its pool; kills the whole group."""

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


class Supervisor(honcho.manager.Manager):  # type: ignore[misc]
    """honcho's manager, which here lets no process's death end the others."""

    def __init__(self, *, lock: int) -> None:
        """Print with a prefix for each process; all of them end with us, and hold the home's lock until they do."""
        super().__init__(honcho.printer.Printer(sys.stdout))
        self._stopping = multiprocessing.Event()
        self._lifeline, self._own_end = os.pipe()
        self._lock = lock
        self._process_ctor = type(
            "Respawning",
            (_Respawning,),
            {"stopping": self._stopping, "supervisor": self._lifeline, "supervisors_own_end": self._own_end},
        )
        self._procmgr = _Signals()

    def add_process(self, name: str, cmd: str, **given: Any) -> Any:
        """Add a command, on our lifeline."""
        line = lifeline.wrap(cmd, supervisor=self._lifeline, grace_seconds=honcho.manager.KILL_WAIT)
        process = super().add_process(name, line, **given)
        process._child_ctor = functools.partial(honcho.process.Popen, pass_fds=(self._lifeline, self._lock))
        return process

    def loop(self) -> None:
        """Run everything until it is stopped."""
        try:
            super().loop()
        finally:
            # When printing fails, nobody is left to stop the processes.
            os.close(self._own_end)

    def terminate(self) -> None:
        """Stop everything."""
        self._stopping.set()
        super().terminate()


def check_ports(config: settings.Settings) -> None:
    """Exit with a sentence when a port that we need is taken."""
    for name, host, port in (
        ("MILLRACE_API_PORT", config.api_host, config.api_port),
        ("MILLRACE_FLOWER_PORT", config.flower_host, config.flower_port),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                sys.exit(f"port {port} is taken; set {name} to a free one")


def addresses(config: settings.Settings) -> tuple[str, str]:
    """Give the addresses of the API and of Flower."""
    return f"http://{config.api_host}:{config.api_port}", f"http://{config.flower_host}:{config.flower_port}"


def announce_when_ready(config: settings.Settings) -> None:
    """Print one line `ready` with the addresses when every process answers."""
    api, flower = addresses(config)
    limit = time.monotonic() + _READY_SECONDS
    while time.monotonic() < limit:
        if _answers(f"{api}/healthz") and _answers(flower) and _has_workers():
            sys.stdout.write(f"ready {api} (API; its documentation at {api}/docs) {flower} (Flower)\n")
            sys.stdout.flush()
            return
        time.sleep(0.3)
    sys.stdout.write(f"not ready after {_READY_SECONDS} s; the lines above say why\n")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address.
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _has_workers() -> bool:
    databases = database.of_process()
    try:
        for role in roles.ROLES:
            with databases[role].statements.connect() as connection:
                if not workers.list_live(connection, beat_seconds=settings.load().beat_seconds):
                    return False
    except database.FAULTS:
        return False
    return True


def _scale(given: str) -> dict[str, int]:
    wanted = {}
    for part in filter(None, given.split(",")):
        role, _, count = part.partition("=")
        if role not in roles.ROLES or not count.isdecimal():
            sys.exit(f"SCALE is {given!r}; write role=count, such as SCALE=training=3,processing=2")
        wanted[role] = int(count)
    return wanted


def _environment(config: settings.Settings) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHON": shlex.quote(sys.executable),
        "PYTHONPATH": str(_ROOT),
        "PYTHONUNBUFFERED": "1",
        "MILLRACE_HOME": str(config.home.resolve()),
        "MILLRACE_WORKER_GRACE_SECONDS": os.environ.get("MILLRACE_WORKER_GRACE_SECONDS", str(_GRACE_SECONDS)),
    }


def _forget_old_workers() -> None:
    """Forget workers of a former run, so that `ready` means those of this one."""
    for role in roles.ROLES:
        with database.of_process()[role].statements.begin() as connection:
            workers.withdraw_host(connection, socket.gethostname())


def main(given: Sequence[str] | None = None) -> int:
    """Migrate, start everything, and stay until stopped."""
    parser = argparse.ArgumentParser(prog="python -m deploy.up", description=__doc__)
    parser.add_argument("--scale", default="", help="workers per role, such as training=3,processing=2")
    arguments = parser.parse_args(given)
    # honcho's processes have our pipe and our lock from a fork, which macOS doesn't do by itself.
    multiprocessing.set_start_method("fork")
    config = settings.load()
    environment = _environment(config)
    honcho.manager.KILL_WAIT = float(environment["MILLRACE_WORKER_GRACE_SECONDS"]) + _KILL_AFTER_GRACE_SECONDS
    lock = home_lock.hold(config.home, wait_seconds=2 * honcho.manager.KILL_WAIT)
    check_ports(config)
    if command_line.main(["upgrade", "all"]):
        return 1
    _forget_old_workers()
    procfile = honcho.environ.parse_procfile((_ROOT / "Procfile").read_text())
    if not config.uses_embedded_valkey():
        procfile.processes.pop("broker")
    supervisor = Supervisor(lock=lock)
    for process in honcho.environ.expand_processes(
        procfile.processes, concurrency=_scale(arguments.scale), env=environment
    ):
        supervisor.add_process(process.name, process.cmd, env=process.env, cwd=str(_ROOT))
    threading.Thread(target=announce_when_ready, args=(config,), daemon=True).start()
    supervisor.loop()
    return 0 if supervisor.returncode in {None, 130, 143} else 1


if __name__ == "__main__":
    sys.exit(main())
