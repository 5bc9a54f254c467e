"""The limit on how many jobs may wait in a role's queue."""

import time

from shared import database, errors
from shared.jobs import views

_FRESH_SECONDS = 1.0


class Backlog:
    """Counts each role's queued jobs, at most once a second."""

    def __init__(self, databases: database.Databases, *, most: int) -> None:
        """Let so many wait in each role's queue."""
        self._databases = databases
        self._most = most
        self._counts: dict[str, tuple[float, int]] = {}

    def check(self, role: str) -> None:
        """Raise TooManyRequestsError rather than let a queue grow without end."""
        counted_at, queued = self._counts.get(role, (0.0, 0))
        if time.monotonic() - counted_at > _FRESH_SECONDS:
            with database.available(role), self._databases[role].statements.connect() as connection:
                queued = views.read_backlog(connection, limit=self._most).queued
            self._counts[role] = (time.monotonic(), queued)
        if queued >= self._most:
            raise errors.TooManyRequestsError(
                f"{queued} jobs of {role} wait already, as many as the operator allows; try again later.",
                retry_after_seconds=10,
            )
