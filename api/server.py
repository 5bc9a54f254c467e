"""Serves the API with granian."""

from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings

from shared import settings


def serve(config: settings.Settings) -> int:
    """Serve until SIGTERM; returns the exit status."""
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
        log_access=False,
    ).serve()
    return 0
