"""The chore of waking runs: when jobs of a story have ended, the runs of that story take their next turn."""

from collections.abc import Callable

import prometheus_client
import sqlalchemy as sa

from shared import database, ids, roles
from shared.events import cursors, log
from shared.orchestration import runs

_SECONDS = 0.25
_LEASE_SECONDS = 15.0
_MAX_EVENTS = 1000
_MAX_ROUNDS = 20
"""So many batches are read in one go, before the role's other chores have their turn."""
_CURSOR = "runs"

WOKEN = prometheus_client.Counter("millrace_runs_woken_total", "Turns of runs for which ends of jobs were the reason.")


class WakeRuns:
    """Reads the event log behind its cursor, and wakes the runs to whose stories ended jobs belong.

    A run that is woken twice, or for a job that isn't its own, takes a turn and rests again; one that is not woken
    takes its turn a little later. So the cursor moves after the runs were woken.
    """

    seconds = _SECONDS

    def __init__(self, databases: database.Databases, *, ring: Callable[[], None]) -> None:
        """Wake the runs in the orchestration role's database by the log in the API's; `ring` rings for them at once."""
        self._ring = ring
        self._log = databases[roles.API]
        self._runs = databases["orchestration"]
        self._owner = ids.new_ulid()

    def do(self) -> None:
        """Wake the runs for all that has been logged meanwhile."""
        for _ in range(_MAX_ROUNDS):
            if not self._wake_batch():
                return

    def _wake_batch(self) -> bool:
        """Go on by a batch of events; return whether there may be more."""
        with self._log.statements.connect() as connection:
            position = cursors.position(connection, _CURSOR)
            if position is not None and position == log.last_position(connection):
                return False
        with self._log.statements.begin() as connection:
            position = self._lease(connection)
        if position is None:
            return False
        with self._log.statements.connect() as connection:
            events = log.read_after(connection, position, limit=_MAX_EVENTS)
        if not events:
            return False
        stories = {(event.tenant_id, event.correlation_id) for event in events if event.type.startswith("job.")}
        woken = 0
        if stories:
            with self._runs.statements.begin() as connection:
                woken = runs.wake_runs(connection, stories)
            WOKEN.inc(woken)
        with self._log.statements.begin() as connection:
            moved = cursors.move(connection, _CURSOR, events[-1].position, owner=self._owner)
        if woken:
            # Last, since it fails while the broker is away; then workers see by themselves that runs are ready.
            self._ring()
        return moved and len(events) == _MAX_EVENTS

    def _lease(self, connection: sa.Connection) -> int | None:
        position = cursors.lease(connection, _CURSOR, owner=self._owner, seconds=_LEASE_SECONDS)
        if position is None and cursors.position(connection, _CURSOR) is None:
            # Runs that began before look for themselves what has ended.
            cursors.create(connection, _CURSOR, position=log.last_position(connection))
        return position
