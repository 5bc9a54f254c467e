"""The sweeper: each role's chores in turn, in a thread of the role's own; any number of copies may run."""

import threading
import time

import structlog

from shared import database, health_file, roles, settings
from sweeper import chores
from sweeper.chores import Chore
from sweeper.line import Line

_log = structlog.get_logger()


class RoleSweeper:
    """Does for one role what no request and no worker does; it has a line to the broker of its own."""

    def __init__(self, role: str, *, config: settings.Settings, databases: database.Databases) -> None:
        """Make the role's chores."""
        self._role = role
        self._line = Line(config)
        self._chores = chores.of_role(role, config=config, databases=databases, line=self._line)

    def serve(self, stopping: threading.Event) -> None:
        """Do the chores in turn until told to stop; what fails is tried again at its next turn."""
        due = [0.0] * len(self._chores)
        while not stopping.is_set():
            for index, chore in enumerate(self._chores):
                if time.monotonic() >= due[index]:
                    self._try(chore)
                    due[index] = time.monotonic() + chore.seconds
            stopping.wait(max(0.01, min(due) - time.monotonic()))

    def _try(self, chore: Chore) -> None:
        try:
            chore.do()
        except Exception as fault:  # noqa: BLE001 - a sweeper that ends would leave jobs lying.
            name = type(chore).__name__.lower()
            _log.warning("chore_failed", chore=name, role=self._role, error=type(fault).__name__)
            self._line.hang_up()


class Sweeper:
    """Sweeps every role, each in a thread of its own, so that a database that hangs holds up no other."""

    def __init__(self, config: settings.Settings, databases: database.Databases) -> None:
        """Sweep all roles' databases."""
        self._config = config
        self._sweepers = [RoleSweeper(role, config=config, databases=databases) for role in roles.ROLES]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        threads = [
            threading.Thread(target=sweeper.serve, args=(self._stopping,), daemon=True) for sweeper in self._sweepers
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(min(5.0, self._config.beat_seconds)):
            health_file.touch(self._config.health_file)
        for thread in threads:
            thread.join(timeout=5)

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping.set()
