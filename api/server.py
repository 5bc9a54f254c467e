"""Serves the API with granian, in processes that all accept from one socket and are replaced without refusing anybody.

`python -m api serve` stops on TERM once it has answered what is under way. On HUP it replaces its processes one by one,
each by a new one that has loaded the code anew. docs/decisions/accepting.md, "A restart of the API refuses nobody".
"""

import functools
import importlib.util
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import structlog
from granian._granian import SocketHolder
from granian._internal import load_target
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from api import listening
from shared import settings, telemetry

TARGET = "api.rsgi:front"
_log = structlog.get_logger()
_LOGGING: dict[str, Any] = {"loggers": {"_granian": {}, "granian.access": {}}}
"""Leaves granian's lines to the root logger, and so to telemetry; granian itself would print them as text."""

_MAX_CONNECTIONS = 20_000
_SPARE_FILES = 1000
_IDLE_MS = 30_000
"""How long a connection may be open without a request."""
_LOAD_SECONDS = 60.0
"""How long a new process may take until it serves, before the old one stays."""
_LOOK_SECONDS = 0.1


def serve(config: settings.Settings) -> int:
    """Serve until SIGTERM; returns the exit status."""
    telemetry.configure(config.log_level)
    _allow_files(_MAX_CONNECTIONS + _SPARE_FILES)
    try:
        listener = listening.listen(config)
    except OSError as error:
        sys.stderr.write(f"the API can't listen on {config.api_host}:{config.api_port}: {error.strerror or error}\n")
        return 1
    _Server(listener, config).serve()
    return 0


class _Server(MPServer):
    """granian, which by itself would give each process a socket of its own: closing that resets what waits there."""

    def __init__(self, listener: socket.socket, config: settings.Settings) -> None:
        super().__init__(
            TARGET,
            address=config.api_host,
            port=config.api_port,
            interface=Interfaces.RSGI,
            workers=config.api_processes,
            # This counts connections, whether they are idle or not; beyond it they wait in the kernel.
            backpressure=_MAX_CONNECTIONS,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=_IDLE_MS, keep_alive=True),
            respawn_failed_workers=True,
            workers_kill_timeout=round(config.api_grace_seconds),
            # Where it can, granian would show another title than that of our command.
            process_name="python -m api serve" if importlib.util.find_spec("setproctitle") else None,
            log_access=False,
            # It warns of more threads than cores, but ours wait for databases most of the time.
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
        )
        self._listener = listener
        self._grace_seconds = config.api_grace_seconds
        self._loaded, self._report = multiprocessing.Pipe(duplex=False)

    def serve(self, *_: Any, **__: Any) -> None:
        """Serve until a signal."""
        loader = functools.partial(_load, self._report, os.getpid(), self._grace_seconds)
        super().serve(spawn_target=_become, target_loader=loader)

    def _init_shared_socket(self) -> None:
        self._ssp = self._shd = None
        self._sso = self._listener

    def _reload(self, *arguments: Any) -> Any:
        # A fork would have the code that this process has loaded.
        multiprocessing.set_start_method("spawn", force=True)
        return super()._reload(*arguments)  # type: ignore[no-untyped-call]

    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        del delay
        for index in workers:
            self.respawned_wrks[index] = time.monotonic()
            old: Any = self.wrks[index]
            new: Any = self._spawn_worker(idx=index, target=spawn_target, callback_loader=target_loader)
            if not old.is_alive():
                self.wrks[index] = new
                new.start()
            elif self._is_loaded(new):
                self.wrks[index] = new
                self._stop(old)
            else:
                _log.error("api_process_not_replaced", reason="the new one did not load; the old one serves on")

    def _is_loaded(self, new: Any) -> bool:
        """Start a process and wait until it can serve; False when it can't, and is gone."""
        while self._loaded.poll():
            self._loaded.recv()
        # Until then its end is no crash of the server.
        new.interrupt_by_parent = True
        new.start()
        limit = time.monotonic() + _LOAD_SECONDS
        while new.is_alive() and time.monotonic() < limit:
            if self._loaded.poll(_LOOK_SECONDS):
                new.interrupt_by_parent = False
                return True
        new.kill()
        return False

    def _stop(self, worker: Any) -> None:
        worker.terminate()
        worker.join(self._grace_seconds)
        if worker.is_alive():
            worker.kill()
            worker.join()


def _become(
    worker_id: int, process_name: str | None, loader: Callable[[], Any], sockets: tuple[Any, Any], *rest: Any
) -> None:
    """Serve in this new process, on the socket that it was given."""
    _, listener = sockets
    holder = SocketHolder(listener.fileno(), False, listening.BACKLOG)  # type: ignore[call-arg]
    MPServer._spawn_rsgi_worker(worker_id, process_name, loader, ((None, holder), listener), *rest)


def _load(report: Connection, parent: int, grace_seconds: float, target: str) -> Any:
    """Load the application in this new process, which ends with its parent."""
    _follow(parent, grace_seconds=grace_seconds)
    front = load_target(target)
    report.send(os.getpid())
    return front


def _follow(parent: int, *, grace_seconds: float) -> None:
    """End this process as TERM would once its parent is gone, killed or not, and by force after the grace."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _allow_files(count: int) -> None:
    """Raise the limit of open files as far as the operator allows, since each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
