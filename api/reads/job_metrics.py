"""Jobs as Prometheus metrics: how many wait, how many ended and how, and how long they took.

The API does no jobs, so it reads their rows when it is asked. docs/decisions/jobs.md, "The API counts ends as it reads
them"
"""

import concurrent.futures
import threading
import time
from collections.abc import Sequence
from typing import Any

import prometheus_client
import sqlalchemy as sa
import structlog

from shared import clock, database, ids, kinds, roles
from shared.jobs import tables, views

REFRESH_SECONDS = 2.0
"""For how long what was read is told again."""
_WAIT_SECONDS = 1.0
"""How long a scrape waits for all roles; what comes later is told by the next one."""
_BUDGET_SECONDS = 0.5
_PAGE = 2000
_CHUNK = 500
_MAX_COUNTED = 100_000
_LATE_MS = 30_000
"""A job may be committed so much later than its id was made, and so after others with greater ids."""

QUEUED = prometheus_client.Gauge("millrace_queue_depth", "Queued jobs, up to 100,000.", ["role"])
WAIT = prometheus_client.Gauge("millrace_oldest_wait_seconds", "How long the oldest ready job has waited.", ["role"])
ENDED = prometheus_client.Counter(
    "millrace_jobs_ended_total", "Jobs accepted since this process started that have ended.", ["kind", "state"]
)
SECONDS = prometheus_client.Histogram(
    "millrace_job_seconds",
    "Time from a job's first claim to its end, waits between tries included.",
    ["kind", "state"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
)
_jobs = tables.jobs
_COLUMNS = (_jobs.c.id, _jobs.c.kind, _jobs.c.state, _jobs.c.created_at, _jobs.c.started_at, _jobs.c.finished_at)


class JobMetrics:
    """Keeps the metrics of all roles' jobs; a database that is away holds up nobody else's."""

    def __init__(self, databases: database.Databases) -> None:
        """Count the ends of jobs that are accepted from now on."""
        self._roles = [_Role(role, databases) for role in roles.ROLES]
        self._lock = threading.Lock()
        self._refreshed_at = float("-inf")

    def refresh(self) -> None:
        """Read what is new, unless that was done a moment ago; takes about a second at most."""
        with self._lock:
            if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
                return
            self._refreshed_at = time.monotonic()
        pool = concurrent.futures.ThreadPoolExecutor(len(self._roles))
        concurrent.futures.wait([pool.submit(role.refresh) for role in self._roles], timeout=_WAIT_SECONDS)
        pool.shutdown(wait=False)


class _Role:
    """Reads one role's jobs in the order of their ids, and goes back to those that had not ended."""

    def __init__(self, role: str, databases: database.Databases) -> None:
        self._role = role
        self._databases = databases
        self._reading = threading.Lock()
        self._cursor = ids.new_job_id(role)
        self._ahead: set[str] = set()
        """Jobs behind the cursor that were read already; others may still be committed between them."""
        self._pending: dict[str, None] = {}

    def refresh(self) -> None:
        """Read once, unless an earlier read still waits for the database."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            with self._databases[self._role].statements.connect() as connection:
                backlog = views.read_backlog(connection, limit=_MAX_COUNTED)
                QUEUED.labels(self._role).set(backlog.queued)
                WAIT.labels(self._role).set(backlog.oldest_wait_seconds)
                until = time.monotonic() + _BUDGET_SECONDS
                self._look_at_pending(connection, until=until)
                self._read_new(connection, until=until)
        except database.FAULTS as fault:
            # What isn't known is not told, rather than told as it was.
            for gauge in (QUEUED, WAIT):
                gauge.remove(self._role)
            structlog.get_logger().warning("job_metrics_unread", role=self._role, error=type(fault).__name__)
        finally:
            self._reading.release()

    def _look_at_pending(self, connection: sa.Connection, *, until: float) -> None:
        """Count which of the jobs that had not ended have ended since; those looked at go to the end of the line."""
        for start in range(0, len(waiting := list(self._pending)), _CHUNK):
            if time.monotonic() >= until:
                return
            chunk = waiting[start : start + _CHUNK]
            rows = connection.execute(sa.select(*_COLUMNS).where(_jobs.c.id.in_(chunk))).all()
            for job_id in chunk:
                del self._pending[job_id]
            self._count(rows)

    def _read_new(self, connection: sa.Connection, *, until: float) -> None:
        """Read the jobs behind the cursor, which stays where others may still be committed before those it has seen."""
        now = clock.read(connection)
        last, is_settled = self._cursor, True
        while time.monotonic() < until:
            query = sa.select(*_COLUMNS).where(_jobs.c.id > last).order_by(_jobs.c.id).limit(_PAGE)
            rows = connection.execute(query).all()
            self._count([row for row in rows if row.id not in self._ahead])
            for row in rows:
                self._ahead.add(row.id)
                is_settled = is_settled and now - row.created_at > _LATE_MS
                last, self._cursor = row.id, row.id if is_settled else self._cursor
            if len(rows) < _PAGE:
                break
        self._ahead = {job_id for job_id in self._ahead if job_id > self._cursor}

    def _count(self, rows: Sequence[Any]) -> None:
        for row in rows:
            if row.finished_at is None:
                self._pending[row.id] = None
                continue
            # A kind whose plugin is no longer installed may be in the rows; labels are of a closed set.
            labels = (row.kind if row.kind in kinds.by_name() else "other", row.state)
            ENDED.labels(*labels).inc()
            if row.started_at is not None:
                SECONDS.labels(*labels).observe((row.finished_at - row.started_at) / 1000)
