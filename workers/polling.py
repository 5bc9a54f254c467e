"""What an idle pool process does while the broker is away: it looks into the roles' databases by itself.

docs/decisions/queues.md, "While the broker is away, idle processes look into their database".
"""

import os
import random
import time
from collections.abc import Sequence

from workers import bodies, guard, turn

_AWAY_SECONDS = 3.0
"""How long the parent must not have listened to the broker before its processes look for themselves."""
_MAX_POLLS_PER_SECOND = 8.0
"""Of all processes of a worker together."""
_PAUSE_AFTER_ERROR_SECONDS = 5.0


class Poller:
    """Does jobs that wait in the databases of some roles, for as long as the broker rings for none."""

    def __init__(
        self,
        roles: Sequence[str],
        *,
        link: guard.Link,
        process_guard: guard.Guard | guard.Unguarded,
        hostname: str,
        concurrency: int,
    ) -> None:
        """Poll for one of a worker's `concurrency` processes; `hostname` is the worker's name."""
        self._roles = roles
        self._link = link
        self._guard = process_guard
        self._owner = f"{hostname}/{os.getpid()}"
        self._pause_seconds = max(1.0, concurrency / _MAX_POLLS_PER_SECOND)
        self._due_at = 0.0

    def poll(self) -> None:
        """Do the jobs that wait, if the broker is away and a look is due; called about once a second."""
        if self._link.seconds_without_broker() < _AWAY_SECONDS or time.monotonic() < self._due_at:
            return
        errors = [self._work(role) for role in self._roles if not self._guard.is_last()]
        pause = _PAUSE_AFTER_ERROR_SECONDS if any(errors) else self._pause_seconds
        # Processes that were idle together must not all look in the same moment.
        self._due_at = time.monotonic() + pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter is no secret.

    def _work(self, role: str) -> str | None:
        return turn.Turn(role, bodies.of_role(role), owner=self._owner, guard=self._guard).work_unasked()
