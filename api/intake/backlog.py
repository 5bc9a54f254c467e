"""The limit on how many jobs may wait in a role's queue."""

import time

from shared import database, errors
from shared.jobs import views

_FRESH_SECONDS = 1.0


class Backlog:
    """Counts each role's queued jobs, at most once a second."""

    def __init__(self, databases: database.Databases, *, max_queued: int) -> None:
        """Allow `max_queued` jobs to wait in each role's queue."""
        self._databases = databases
        self._max_queued = max_queued
        self._counts: dict[str, tuple[float, int]] = {}

    def check(self, role: str) -> None:
        """Raise TooManyRequestsError when a role's queue is full."""
        counted_at, queued = self._counts.get(role, (0.0, 0))
        if time.monotonic() - counted_at > _FRESH_SECONDS:
            with database.available(role), self._databases[role].statements.connect() as connection:
                queued = views.read_backlog(connection, limit=self._max_queued).queued
            self._counts[role] = (time.monotonic(), queued)
        if queued >= self._max_queued:
            raise errors.TooManyRequestsError(
                f"{queued} jobs of {role} are queued, which is the limit; try again later.",
                retry_after_seconds=10,
            )
