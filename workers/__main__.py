"""python -m workers <role> [<role> …]: one worker that serves the queues of these roles."""

import argparse
import os
import warnings
from collections.abc import Sequence

from celery import exceptions

from shared import private_files, roles, settings
from workers.app import create_app


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("roles", nargs="+", choices=list(roles.ROLES), metavar="role")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until TERM; then let running jobs finish within the grace, and hand back those that don't."""
    served = list(dict.fromkeys(_parse(arguments).roles))
    private_files.restrict(settings.load().home)
    app = create_app(served)
    # Celery warns root of pickle, which no worker accepts.
    warnings.filterwarnings("ignore", category=exceptions.SecurityWarning)
    app.worker_main(
        [
            # Our own events say what its banner would.
            "--quiet",
            "worker",
            f"--hostname={'.'.join(served)}.{os.getpid()}@%h",
            f"--loglevel={settings.load().log_level}",
            "--without-mingle",
            "--without-gossip",
        ]
    )


if __name__ == "__main__":
    main()
