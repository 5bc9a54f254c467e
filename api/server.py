"""Serves the API with granian."""

import importlib.util
from typing import Any

from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from shared import settings, telemetry

_LOGGING: dict[str, Any] = {"loggers": {"_granian": {}, "granian.access": {}}}
"""Leaves granian's lines to the root logger, and so to telemetry; granian itself would print them as text."""


def serve(config: settings.Settings) -> int:
    """Serve until SIGTERM; returns the exit status."""
    telemetry.configure(config.log_level)
    Granian(
        "api.wsgi:app",
        address=config.api_host,
        port=config.api_port,
        interface=Interfaces.WSGI,
        workers=config.api_processes,
        blocking_threads=config.api_threads,
        # Requests beyond what the threads can take wait in the kernel, not in our memory.
        backpressure=config.api_threads * 2,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, keep_alive=True),
        respawn_failed_workers=True,
        # Where it can, granian would show another title than that of our command.
        process_name="python -m api serve" if importlib.util.find_spec("setproctitle") else None,
        log_access=False,
        # It warns of more threads than cores, but ours wait for databases most of the time.
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    ).serve()
    return 0
