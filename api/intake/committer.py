"""Lets requests that are under way at once share the transaction that accepts their jobs."""

import threading
from collections.abc import Iterable, Sequence

import prometheus_client

from shared import database, errors
from shared.jobs import ledger
from shared.queues import ringer

_JOBS_A_BELL = 8

GATHERED = prometheus_client.Histogram(
    "millrace_accept_batch_jobs", "Jobs that one transaction accepted.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 1024)
)


class _Entry:
    """One request's jobs on their way into the next shared transaction."""

    def __init__(self, new: Sequence[ledger.NewJob]) -> None:
        self.new = new
        self.accepted: dict[str, int] = {}
        self.error: Exception | None = None
        self.done = False
        self._turn = threading.Lock()
        self._turn.acquire()

    def wait(self) -> None:
        """Wait until another request has committed these jobs, or makes this one the next to commit."""
        self._turn.acquire()

    def wake(self) -> None:
        """End the wait."""
        self._turn.release()


class Committer:
    """Lets requests that are under way at once share a transaction: the commit is what costs.

    The first to come commits for all that came by then; those that come meanwhile wait for the next
    turn, and the first of them commits for all of these. Each waits for a lock of its own: with one for all, those
    whose jobs are committed would stand in the way of the one that is to commit next.
    """

    def __init__(
        self, role: str, *, databases: database.Databases, bell: ringer.Ringer, ring_soon_seconds: float
    ) -> None:
        """Gather for one role's database, and ring when it has committed."""
        self._bell = bell
        self._role = role
        self._databases = databases
        self._ring_soon_seconds = ring_soon_seconds
        self._waiting: list[_Entry] = []
        self._is_led = False
        self._mutex = threading.Lock()

    def accept(self, new: Sequence[ledger.NewJob]) -> dict[str, int]:
        """Insert jobs durably; gives `created_at` by id of those inserted."""
        entry = _Entry(new)
        with self._mutex:
            self._waiting.append(entry)
            must_wait, self._is_led = self._is_led, True
        if must_wait:
            entry.wait()
        if not entry.done:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.accepted

    def _lead(self, leader: _Entry) -> None:
        """Commit for all who wait, let the next one lead, and then let those go whose jobs are committed."""
        with self._mutex:
            entries, self._waiting = self._waiting, []
        try:
            self._commit(entries)
        finally:
            _give_up(entry for entry in entries if not entry.done)
            with self._mutex:
                successor = self._waiting[0] if self._waiting else None
                self._is_led = successor is not None
            for entry in (successor, *entries):
                if entry is not None and entry is not leader:
                    entry.wake()

    def _commit(self, entries: list[_Entry]) -> None:
        try:
            self._insert(entries)
        except Exception as fault:  # noqa: BLE001 - each request gets its own answer, whatever went wrong.
            if len(entries) > 1 and not isinstance(fault, database.FAULTS):
                # One bad row must not spoil its neighbours.
                for entry in entries:
                    self._commit([entry])
                return
            for entry in entries:
                entry.error = fault
        for entry in entries:
            entry.done = True

    def _insert(self, entries: list[_Entry]) -> None:
        new = [job for entry in entries for job in entry.new]
        engines = self._databases[self._role]
        # One statement commits by itself, which saves two ways to the database.
        alone = engines.transactions if any(job.tags for job in new) else engines.statements
        with alone.begin() as connection:
            accepted = ledger.accept(connection, new, ring_again_seconds=self._ring_soon_seconds)
        GATHERED.observe(len(new))
        self._bell.ring(bells_for([job for job in new if job.id in accepted]))
        for entry in entries:
            entry.accepted = {job.id: accepted[job.id] for job in entry.new if job.id in accepted}


def _give_up(entries: Iterable[_Entry]) -> None:
    """Answer requests whose leader was ended on its way: else they would take their jobs for repeated ones."""
    for entry in entries:
        entry.error = errors.UnavailableError(
            "The commit was broken off, and may have come through or not; ask again, best with an Idempotency-Key.",
            retry_after_seconds=1,
        )
        entry.done = True


def bells_for(new: Sequence[ledger.NewJob]) -> list[ledger.Doorbell]:
    """Make doorbells for some of the jobs that were accepted together.

    A worker that a bell has woken finds the others by itself, and the sweeper rings soon for what is left.
    """
    return [ledger.Doorbell(job.id, job.kind, job.priority, job.traceparent) for job in new[::_JOBS_A_BELL]]
