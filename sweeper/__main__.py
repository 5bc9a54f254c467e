"""python -m sweeper: the periodic chores of every role; any number of copies may run."""

import signal

import prometheus_client
import structlog

from shared import database, private_files, settings, telemetry
from sweeper.sweeper import Sweeper

_log = structlog.get_logger()


def main() -> None:
    """Run until TERM or INT."""
    config = settings.load()
    private_files.restrict(config.home)
    telemetry.configure(config.log_level)
    if config.metrics_port:
        prometheus_client.start_http_server(config.metrics_port, addr="127.0.0.1")
    sweeper = Sweeper(config, database.of_process())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sweeper.stop())
    _log.info("sweeper_started")
    sweeper.run()


if __name__ == "__main__":
    main()
