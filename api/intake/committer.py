"""Group commit: concurrent requests share the transaction that accepts their jobs.

See docs/decisions/accepting.md, "Requests share a transaction by taking turns, without a thread of its own".
"""

import threading
from collections.abc import Iterable, Sequence

import prometheus_client

from shared import database, errors, faults, watchdog
from shared.jobs import ledger
from shared.queues.ringer import Ringer

_JOBS_PER_DOORBELL = 8
"""docs/decisions/queues.md, "A bell wakes a worker, and an awake worker finds the rest"."""
_RETRY_SECONDS = 5
_UNCERTAIN = "The commit was interrupted, and may or may not have succeeded; retry, best with an Idempotency-Key."

BATCH_JOBS = prometheus_client.Histogram(
    "millrace_accept_batch_jobs", "Jobs that one transaction accepted.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 1024)
)


class _Entry:
    """One request's jobs, which wait for the next shared transaction."""

    def __init__(self, jobs: Sequence[ledger.NewJob]) -> None:
        self.jobs = jobs
        self.created_at_by_id: dict[str, int] = {}
        self.error: Exception | None = None
        self.done = False
        self.leads = False
        self._turn = threading.Lock()
        self._turn.acquire()

    def wait(self, *, seconds: float) -> bool:
        """Wait until another request has committed these jobs, or has made this one the next leader; False if not."""
        return self._turn.acquire(timeout=seconds)

    def wake(self) -> None:
        """End the wait."""
        self._turn.release()


class Committer:
    """Lets concurrent requests share a transaction, because the commit is the expensive part.

    The first request leads: it commits the jobs of all that are waiting. Requests that arrive meanwhile wait, and the
    first of them leads next. Each waits for a lock of its own: docs/decisions/accepting.md, "Requests that share a
    commit each wait for a lock of their own".
    """

    def __init__(
        self,
        role: str,
        *,
        databases: database.Databases,
        ringer: Ringer,
        ring_soon_seconds: float,
        wait_seconds: float,
    ) -> None:
        """Accept jobs in one role's database, and ring after each commit.

        A request waits at most `wait_seconds` for the commits of others.
        """
        self._wait_seconds = wait_seconds
        self._watched = watchdog.of_process().watch(f"commits of {role}")
        self._ringer = ringer
        self._role = role
        self._databases = databases
        self._ring_soon_seconds = ring_soon_seconds
        self._waiting: list[_Entry] = []
        self._has_leader = False
        self._mutex = threading.Lock()

    def accept(self, jobs: Sequence[ledger.NewJob]) -> dict[str, int]:
        """Insert jobs durably; returns `created_at` by id of those that were inserted. Raises UnavailableError."""
        entry = _Entry(jobs)
        with self._mutex:
            self._waiting.append(entry)
            must_wait, self._has_leader = self._has_leader, True
        if must_wait and not entry.wait(seconds=self._wait_seconds):
            self._leave(entry)
        if not entry.done:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.created_at_by_id

    def _leave(self, entry: _Entry) -> None:
        """Give up waiting, unless the wait has ended in this moment; raises UnavailableError."""
        with self._mutex:
            if entry.leads or entry.done:
                return
            is_waiting = entry in self._waiting
            if is_waiting:
                self._waiting.remove(entry)
        raise errors.UnavailableError(
            f"The database of {self._role} doesn't answer; nothing was accepted. Try again later."
            if is_waiting
            else _UNCERTAIN,
            retry_after_seconds=_RETRY_SECONDS,
        )

    def _lead(self, leader: _Entry) -> None:
        """Commit for all that wait, wake the next leader, and then those whose jobs are committed."""
        self._watched.turn()
        with self._mutex:
            entries, self._waiting = self._waiting, []
        try:
            self._commit(entries)
        finally:
            _fail(entry for entry in entries if not entry.done)
            self._watched.rest()
            with self._mutex:
                successor = self._waiting[0] if self._waiting else None
                if successor is not None:
                    successor.leads = True
                self._has_leader = successor is not None
            for entry in (successor, *entries):
                if entry is not None and entry is not leader:
                    entry.wake()

    def _commit(self, entries: list[_Entry]) -> None:
        try:
            self._insert_on_writable(entries)
        except Exception as error:  # noqa: BLE001 - each request gets its own answer, whatever went wrong.
            if len(entries) > 1 and not isinstance(error, database.FAULTS):
                # One request's bad row must not fail the others.
                for entry in entries:
                    self._commit([entry])
                return
            for entry in entries:
                entry.error = error
        for entry in entries:
            entry.done = True

    def _insert_on_writable(self, entries: list[_Entry]) -> None:
        try:
            self._insert(entries)
        except database.FAULTS as fault:
            if not faults.is_read_only(fault):
                raise
            # After a failover, older connections lead to the server before; after this refusal none is left.
            self._insert(entries)

    def _insert(self, entries: list[_Entry]) -> None:
        jobs = [job for entry in entries for job in entry.jobs]
        engines = self._databases[self._role]
        # Tags need a second statement; a single one commits by itself, which saves two round trips to the database.
        engine = engines.transactions if any(job.tags for job in jobs) else engines.statements
        with engine.begin() as connection:
            created_at_by_id = ledger.accept(connection, jobs, ring_again_seconds=self._ring_soon_seconds)
        BATCH_JOBS.observe(len(jobs))
        self._ringer.ring(make_doorbells([job for job in jobs if job.id in created_at_by_id]))
        for entry in entries:
            entry.created_at_by_id = {
                job.id: created_at_by_id[job.id] for job in entry.jobs if job.id in created_at_by_id
            }


def _fail(entries: Iterable[_Entry]) -> None:
    """Answer requests whose leader was killed: otherwise they would look up their jobs as repeated ones."""
    for entry in entries:
        entry.error = errors.UnavailableError(_UNCERTAIN, retry_after_seconds=1)
        entry.done = True


def make_doorbells(jobs: Sequence[ledger.NewJob]) -> list[ledger.Doorbell]:
    """Make doorbells for every eighth of the jobs that were accepted together.

    A worker that was woken finds the others by itself, and the sweeper soon rings for those that still wait.
    """
    return [
        ledger.Doorbell(job_id=job.id, kind=job.kind, priority=job.priority, traceparent=job.traceparent)
        for job in jobs[::_JOBS_PER_DOORBELL]
    ]
