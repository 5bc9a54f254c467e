"""The limits on how many jobs may wait in a role's queue, altogether and of one tenant."""

import contextlib
import threading
import time
from collections.abc import Iterator

from shared import database, errors
from shared.jobs import views

_FRESH_SECONDS = 1.0
_RECOUNT_SECONDS = 0.1
"""How soon a queue is counted again that is only full if none of its jobs was claimed meanwhile."""
_RETRY_SECONDS = 10


class _Queue:
    """The queued jobs of a role, or those of one tenant: as last counted, and those that were accepted since."""

    def __init__(self, databases: database.Databases, role: str, tenant_id: str | None, *, limit: int) -> None:
        self.limit = limit
        self.counted = 0
        self._databases = databases
        self._role = role
        self._tenant_id = tenant_id
        self._counted_at = float("-inf")
        self._being_accepted = 0
        self._accepted_since = 0
        self._mutex = threading.Lock()
        self._counting = threading.Lock()

    def enter(self, jobs: int, *, processes: int) -> bool:
        """Add jobs that are being accepted, unless the queue is full; each process may use its share of the room."""
        if self._age() > _FRESH_SECONDS:
            self._count(older_than_seconds=_FRESH_SECONDS)
        if self._add(jobs, processes=processes):
            return True
        if self.counted < self.limit and self._age() > _RECOUNT_SECONDS:
            self._count(older_than_seconds=_RECOUNT_SECONDS)
        return self._add(jobs, processes=processes)

    def leave(self, jobs: int, *, accepted: bool) -> None:
        """Note that jobs are no longer being accepted, but were accepted or refused."""
        with self._mutex:
            self._being_accepted -= jobs
            self._accepted_since += jobs if accepted else 0

    def _add(self, jobs: int, *, processes: int) -> bool:
        with self._mutex:
            if self.counted + processes * (self._being_accepted + self._accepted_since) >= self.limit:
                return False
            self._being_accepted += jobs
            return True

    def _age(self) -> float:
        return time.monotonic() - self._counted_at

    def _count(self, *, older_than_seconds: float) -> None:
        """Count the rows, unless another thread does so and there is an earlier count to go by."""
        if not self._counting.acquire(blocking=self._counted_at == float("-inf")):
            return
        try:
            if self._age() <= older_than_seconds:
                return
            with self._mutex:
                in_rows = self._accepted_since
            with database.available(self._role), self._databases[self._role].statements.connect() as connection:
                counted = views.count_queued(connection, tenant_id=self._tenant_id, limit=self.limit)
            with self._mutex:
                self.counted = counted
                self._accepted_since -= in_rows
                self._counted_at = time.monotonic()
        finally:
            self._counting.release()


class Backlog:
    """Keeps the queues of roles and tenants within their limits.

    Rows are counted at most once a second; in between, each process adds what it accepts itself, as often as there are
    processes. So a limit is kept within a process, and passed by a few requests where several count at different times:
    docs/decisions/accepting.md, "Limits of queues are kept by counting once a second and adding up in between".
    """

    def __init__(
        self, databases: database.Databases, *, max_queued: int, max_queued_per_tenant: int, processes: int = 1
    ) -> None:
        """Allow so many jobs to wait in each role's queue, and so many of them to be of one tenant."""
        self._databases = databases
        self._max_queued = max_queued
        self._max_queued_per_tenant = max_queued_per_tenant
        self._processes = processes
        self._queues: dict[tuple[str, str | None], _Queue] = {}
        self._mutex = threading.Lock()

    @contextlib.contextmanager
    def room(self, role: str, tenant_id: str, *, jobs: int = 1) -> Iterator[None]:
        """Keep room for jobs while they are accepted; raises TooManyRequestsError when there is none."""
        with (
            self._room_in(self._queue(role, None), f"jobs of {role} are queued", jobs),
            self._room_in(self._queue(role, tenant_id), f"jobs of {role} are queued of this tenant", jobs),
        ):
            yield

    @contextlib.contextmanager
    def _room_in(self, queue: _Queue, what: str, jobs: int) -> Iterator[None]:
        if not queue.enter(jobs, processes=self._processes):
            raise errors.TooManyRequestsError(
                f"{queue.limit} {what}, which is the limit; try again later.", retry_after_seconds=_RETRY_SECONDS
            )
        try:
            yield
        except BaseException:
            queue.leave(jobs, accepted=False)
            raise
        queue.leave(jobs, accepted=True)

    def _queue(self, role: str, tenant_id: str | None) -> _Queue:
        with self._mutex:
            queue = self._queues.get((role, tenant_id))
            if queue is None:
                limit = self._max_queued if tenant_id is None else self._max_queued_per_tenant
                queue = self._queues[role, tenant_id] = _Queue(self._databases, role, tenant_id, limit=limit)
            return queue
