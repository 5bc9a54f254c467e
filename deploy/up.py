"""Runs the whole system in the foreground, and starts again what dies: python -m deploy.up [--scale training=3]."""

import argparse
import functools
import multiprocessing
import os
import pathlib
import socket
import sys
import time
from collections.abc import Mapping, Sequence

from api import listening
from deploy import home_lock, preload, prepare, processes, readiness, supervisor, terminal
from shared import faults, private_files, roles, settings

_ROOT = pathlib.Path(__file__).parent.parent
_GRACE_SECONDS = 5
_KILL_AFTER_GRACE_SECONDS = 10


class Up:
    """One run of the system, from its first process to the line `ready`."""

    def __init__(
        self,
        config: settings.Settings,
        output: terminal.Output,
        *,
        scale: Mapping[str, int],
        listener: socket.socket,
    ) -> None:
        """Read what is to run, with the API on a socket that stays over its restarts; nothing is started yet."""
        self._listener = listener
        self._config = config
        self._output = output
        self._scale = scale
        self._programs = processes.read(scale=scale)
        if not config.uses_embedded_valkey():
            del self._programs["broker"]
        self._supervisor = supervisor.Supervisor(output, patience_seconds=_patience_seconds(config))
        self._prepared: int | None = None
        self._began = time.monotonic()

    def run(self) -> int:
        """Start everything in turn, stay until stopped, and return the exit status."""
        self._output.say(f"Millrace keeps everything in {self._config.home}; Ctrl-C stops it.")
        with self._supervisor:
            self._start("broker")
            self._supervisor.start(supervisor.Service("databases", prepare.main, on_end=self._note_prepared))
            preload.load(preload.SERVERS, pause=self._supervisor.turn)
            while self._prepared is None and self._supervisor.turn(wait_seconds=1):
                pass
            if self._prepared:
                self._output.say("the databases can't be used; the lines above say why")
                return 1
            self._start(*(name for name in self._programs if name not in {"broker", "inference", *roles.ROLES}))
            for role in roles.ROLES:
                preload.load(preload.modules_of(role), pause=self._supervisor.turn)
                self._start(role)
            preload.load(preload.INFERENCE, pause=self._supervisor.turn)
            self._start("inference")
            self._supervisor.start(supervisor.Service("readiness", self._wait_until_ready, on_end=self._tell_ready))
            self._supervisor.run()
            self._output.say("stopping …")
        return 0

    def _start(self, *names: str) -> None:
        notes = readiness.addresses(self._config)
        for name in names:
            for program in self._programs.get(name, ()):
                if self._supervisor.is_stopping:
                    return
                run = functools.partial(self._run_api, program) if name == "api" else program.run
                self._supervisor.start(
                    supervisor.Service(program.name, run, note=notes.get(name, ""), ends_last=name == "broker")
                )

    def _run_api(self, program: processes.Program) -> None:
        os.environ["MILLRACE_API_LISTEN_FD"] = str(self._listener.fileno())
        settings.load.cache_clear()
        program.run()

    def _note_prepared(self, status: int) -> None:
        self._prepared = status

    def _wait_until_ready(self) -> None:
        served = [role for role in roles.ROLES if self._scale.get(role, 1)]
        sys.exit(0 if readiness.is_reached(self._config, served=served) else 1)

    def _tell_ready(self, status: int) -> None:
        known = readiness.addresses(self._config)
        if status == 0:
            seconds = time.monotonic() - self._began
            self._output.say(
                f"ready {known['api']} (API; its documentation at {known['api']}/docs) "
                f"{known['inference']} (inference) {known['flower']} (Flower) after {seconds:.1f} s"
            )
        elif not self._supervisor.is_stopping:
            self._output.say(f"not ready after {readiness.LIMIT_SECONDS} s; the lines above say why")


def _patience_seconds(config: settings.Settings) -> float:
    return config.worker_grace_seconds + _KILL_AFTER_GRACE_SECONDS


def take_ports(config: settings.Settings) -> socket.socket:
    """Listen on the API's port, for the API; exit with a sentence when a port that we need is taken."""
    _require_free(config.flower_host, config.flower_port, variable="MILLRACE_FLOWER_PORT")
    _require_free(config.inference_host, config.inference_port, variable="MILLRACE_INFERENCE_PORT")
    try:
        return listening.listen(config)
    except OSError:
        sys.exit(f"port {config.api_port} is taken; set MILLRACE_API_PORT to a free one")


def _require_free(host: str, port: int, *, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            sys.exit(f"port {port} is taken; set {variable} to a free one")


def _parse_scale(given: str) -> dict[str, int]:
    scale = {}
    for part in filter(None, given.split(",")):
        role, _, count = part.partition("=")
        if role not in roles.ROLES or not count.isdecimal():
            sys.exit(f"SCALE is {given!r}; write role=count, such as SCALE=training=3,processing=2")
        scale[role] = int(count)
    return scale


def _set_environment() -> settings.Settings:
    """Set what our processes read from the environment, and read it ourselves."""
    os.environ["MILLRACE_HOME"] = str(settings.load().home.resolve())
    os.environ.setdefault("MILLRACE_WORKER_GRACE_SECONDS", str(_GRACE_SECONDS))
    # Nobody balances requests over copies here, so there is nothing to wait for.
    os.environ.setdefault("MILLRACE_INFERENCE_DRAIN_SECONDS", "0")
    # For what our processes start by themselves.
    os.environ["PYTHONPATH"] = str(_ROOT)
    os.chdir(_ROOT)
    settings.load.cache_clear()
    return settings.load()


def main(given: Sequence[str] | None = None) -> int:
    """Migrate, start everything, and stay until stopped."""
    parser = argparse.ArgumentParser(prog="python -m deploy.up", description=__doc__)
    parser.add_argument("--scale", default="", help="workers per role, such as training=3,processing=2")
    parser.add_argument(
        "--log",
        choices=("auto", "short", "json"),
        default="auto",
        help="short lines for a reader, JSON lines for a program, or (auto) whichever suits the output",
    )
    arguments = parser.parse_args(given)
    scale = _parse_scale(arguments.scale)
    config = _set_environment()
    private_files.restrict(config.home)
    with faults.told_in_a_sentence(config.home):
        lock = home_lock.hold(config.home, wait_seconds=2 * _patience_seconds(config))
    # The broker becomes another program, and holds the lock as well.
    os.set_inheritable(lock, True)
    listener = take_ports(config)
    preload.prepare(config)
    if sys.platform == "linux":
        # The API's server starts its processes by the default method; forked they share our memory.
        multiprocessing.set_start_method("fork")
    return Up(config, terminal.choose(sys.stdout, log=arguments.log), scale=scale, listener=listener).run()


if __name__ == "__main__":
    _status = main()
    # The interpreter would take the imported libraries apart, which is of no use and slow.
    sys.stdout.flush()
    os._exit(_status)
