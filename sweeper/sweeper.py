"""The sweeper: each role's chores in turn, in a thread of the role's own; any number of copies may run."""

import threading
import time

import structlog

from shared import database, roles, settings, watchdog
from sweeper import chores
from sweeper.chores import Chore
from sweeper.publisher import Connector

_log = structlog.get_logger()
_END_SECONDS = 5.0
"""How long chores that are under way may take to end when the sweeper stops."""


class RoleSweeper:
    """Does one role's chores, on a connection to the broker of its own."""

    def __init__(self, role: str, *, config: settings.Settings, databases: database.Databases) -> None:
        """Create the role's chores."""
        self._role = role
        self._connector = Connector(config)
        self._chores = chores.create_chores(role, config=config, databases=databases, connector=self._connector)

    def run(self, stopping: threading.Event) -> None:
        """Do the chores in turn until `stopping` is set; one that fails is tried again at its next turn."""
        watched = watchdog.of_process().watch(f"chores of {self._role}")
        due_at = [0.0] * len(self._chores)
        while not stopping.is_set():
            for index, chore in enumerate(self._chores):
                watched.turn()
                if time.monotonic() >= due_at[index]:
                    self._try(chore)
                    due_at[index] = time.monotonic() + chore.seconds
            watched.rest()
            stopping.wait(max(0.01, min(due_at) - time.monotonic()))
        watched.end()

    def _try(self, chore: Chore) -> None:
        try:
            chore.do()
        except Exception as error:  # noqa: BLE001 - a thread that ended would leave its role unswept.
            name = type(chore).__name__.lower()
            _log.warning("chore_failed", chore=name, role=self._role, error=type(error).__name__)
            self._connector.disconnect()


class Sweeper:
    """Sweeps every database, each in a thread of its own, so that one that hangs delays no other."""

    def __init__(self, config: settings.Settings, databases: database.Databases) -> None:
        """Sweep the databases of all roles, and the API's."""
        self._sweepers = [RoleSweeper(role, config=config, databases=databases) for role in roles.STORES]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        threads = [
            threading.Thread(target=sweeper.run, args=(self._stopping,), daemon=True) for sweeper in self._sweepers
        ]
        for thread in threads:
            thread.start()
        self._stopping.wait()
        limit = time.monotonic() + _END_SECONDS
        for thread in threads:
            thread.join(timeout=max(0.0, limit - time.monotonic()))

    def stop(self) -> None:
        """Let each role's thread end after its present chore."""
        self._stopping.set()
