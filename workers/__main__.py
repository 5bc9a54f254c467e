"""python -m workers <role> [<role> …]: one worker that serves the queues of some roles."""

import argparse
import os
from collections.abc import Sequence

from shared import roles, settings
from workers.app import create_app


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("roles", nargs="+", choices=list(roles.ROLES), metavar="role")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Serve until TERM: then finish what runs, within the grace, and hand back the rest."""
    chosen = list(dict.fromkeys(_arguments(given).roles))
    app = create_app(chosen)
    app.worker_main(
        [
            "worker",
            f"--hostname={'.'.join(chosen)}.{os.getpid()}@%h",
            f"--loglevel={settings.load().log_level}",
            "--without-mingle",
            "--without-gossip",
        ]
    )


if __name__ == "__main__":
    main()
