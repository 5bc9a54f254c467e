"""What is done to the databases before anything starts, in a process of its own.

A connection that the supervisor opened would be open in every process that it forks.
"""

import contextlib
import os
import socket
import sys

from api.intake import keys
from migrations import command_line
from shared import database, faults, roles, settings
from shared.jobs import workers


def main() -> None:
    """Migrate every database, and forget workers of a former run, so that `ready` means those of this one."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123 - a device, no file.
        status = command_line.main(["upgrade", "all"])
    if status:
        sys.exit(status)
    with faults.told_in_a_sentence(settings.load().home):
        for role in roles.ROLES:
            with database.of_process()[role].statements.begin() as connection:
                workers.withdraw_host(connection, socket.gethostname())
        _make_service_key(settings.load())


def _make_service_key(config: settings.Settings) -> None:
    """Give the orchestration role's workers a key, unless the operator has set one."""
    if not config.service_key.get_secret_value():
        keys.Keys(database.of_process()).keep_in_file(config.service_path(), "orchestration", scopes=["service"])
