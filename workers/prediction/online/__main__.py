"""python -m workers.prediction.online: the inference server, which serves deployments until TERM."""

import contextlib
import os
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from shared import private_files, settings, telemetry
from workers.prediction.online import measures

_TARGET = "workers.prediction.online.rsgi:application"
_MAX_CONNECTIONS = 20_000
_SPARE_FILES = 1000
_IDLE_MS = 120_000
"""How long a connection may be open without a request: longer than the pools of common clients keep one."""
_DRAIN_SIGNAL = signal.SIGUSR1
_LOGGING: dict[str, Any] = {"loggers": {"_granian": {}, "granian.access": {}}}


class DrainingServer(MPServer):
    """A server that goes on for a while after TERM, and says meanwhile that it is not ready; INT ends it at once."""

    drain_seconds = 0.0
    _is_draining = False

    def signal_handler_interrupt(self, number: int, *_: Any) -> None:
        """Begin to drain; end at once on INT, and on a second TERM."""
        close: Any = super().signal_handler_interrupt
        if number != signal.SIGTERM or self._is_draining or not self.drain_seconds:
            close()
            return
        self._is_draining = True
        for worker in self.wrks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.inner.pid, _DRAIN_SIGNAL)
        timer = threading.Timer(self.drain_seconds, close)
        timer.daemon = True
        timer.start()


def main() -> int:
    """Serve until TERM or INT."""
    config = settings.load()
    # A process that does not serve yet must not end by it.
    signal.signal(_DRAIN_SIGNAL, signal.SIG_IGN)
    private_files.restrict(config.home)
    _allow_files(_MAX_CONNECTIONS + _SPARE_FILES)
    telemetry.configure(config.log_level)
    server = DrainingServer(
        _TARGET,
        address=config.inference_host,
        port=config.inference_port,
        interface=Interfaces.RSGI,
        workers=config.inference_processes,
        backpressure=_MAX_CONNECTIONS,
        http=HTTPModes.http1,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=_IDLE_MS, keep_alive=True),
        respawn_failed_workers=True,
        workers_kill_timeout=round(config.api_grace_seconds),
        log_access=False,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    )
    server.drain_seconds = config.inference_drain_seconds
    with _counting_together(config):
        server.serve()
    return 0


@contextlib.contextmanager
def _counting_together(config: settings.Settings) -> Iterator[None]:
    """Let several processes count in one folder, which is gone afterwards."""
    if config.inference_processes == 1:
        yield
        return
    folder = measures.make_folder(config.home.resolve() / "inference")
    os.environ[measures.FOLDER] = str(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _allow_files(count: int) -> None:
    """Raise the limit of open files as far as the operator allows, since each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
