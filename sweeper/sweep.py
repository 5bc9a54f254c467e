"""The chore of moving jobs whose lease or deadline has passed."""

import math
import time

import prometheus_client
import structlog

from shared import database, settings
from shared.jobs import ledger, log_lines, offspring

_log = structlog.get_logger()

SWEPT = prometheus_client.Counter("millrace_jobs_swept_total", "Jobs that the sweeper moved.", ["role", "state"])


class Sweep:
    """Moves jobs of lost workers, and jobs that outlived their deadline or their parent."""

    def __init__(self, role: str, engines: database.Engines, *, config: settings.Settings) -> None:
        """Sweep one role's database."""
        self._role = role
        self._engines = engines
        self._config = config
        self.seconds = config.sweep_seconds
        self._last_success = -math.inf
        self._spare_until = -math.inf

    def do(self) -> None:
        """Sweep once."""
        with self._engines.transactions.begin() as connection:
            swept = ledger.sweep_overdue(connection)
            if not self._must_spare_leases():
                lost = ledger.sweep(connection)
                log_lines.note_losses(connection, [job.job_id for job in lost])
                swept += lost
            offspring.wake_parents_of_ended(connection, swept)
        self._last_success = time.monotonic()
        with self._engines.transactions.begin() as connection:
            swept += offspring.cancel_orphans(connection)
        for job in swept:
            SWEPT.labels(self._role, job.state).inc()
            _log.info("job_swept", job_id=job.job_id, role=self._role, state=job.state, attempt=job.attempt)

    def _must_spare_leases(self) -> bool:
        """Return whether leases may have run out only because nobody could write, such as in a failover.

        Then live workers get two beats to renew them: docs/decisions/faults.md, "After an outage the sweeper waits".
        """
        now = time.monotonic()
        if now - self._last_success >= self._config.fence_seconds:
            self._spare_until = now + 2 * self._config.beat_seconds
        return now < self._spare_until
