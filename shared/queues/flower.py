"""Flower, for operators: python -m shared.queues.flower; authenticated, on loopback unless configured otherwise."""

import logging
import os
import pathlib
import secrets

from celery.bin.celery import celery as celery_command
from flower.command import flower as flower_command

from shared import private_files, roles, settings, telemetry
from shared.queues import celery_app, flower_parts


def read_credentials(config: settings.Settings) -> str:
    """Read `user:password` from the settings, else from a file that only we can read; create that file if missing."""
    if config.flower_basic_auth:
        return config.flower_basic_auth
    path: pathlib.Path = config.home.resolve() / "flower-credentials"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"millrace:{secrets.token_urlsafe(18)}")
    return path.read_text().strip()


def main() -> None:
    """Serve until stopped."""
    config = settings.load()
    private_files.restrict(config.home)
    telemetry.configure(config.log_level)
    # Until the workers run it would warn every few seconds that none of them answers.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    celery_command.add_command(flower_command)
    flower_parts.install()
    app = celery_app.create_celery(list(roles.ROLES), config=config)
    # By the environment, because every user of the machine can read the command line.
    os.environ["FLOWER_BASIC_AUTH"] = read_credentials(config)
    app.start(
        [
            "flower",
            f"--address={config.flower_host}",
            f"--port={config.flower_port}",
            "--max_tasks=10000",
            "--purge_offline_workers=300",
            "--read_only",
        ]
    )


if __name__ == "__main__":
    main()
