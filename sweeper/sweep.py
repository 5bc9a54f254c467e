"""The chore of moving jobs whose lease or deadline has passed."""

import prometheus_client
import structlog

from shared import database
from shared.jobs import ledger, offspring

_log = structlog.get_logger()

SWEPT = prometheus_client.Counter("millrace_jobs_swept_total", "Jobs that the sweeper moved.", ["role", "state"])


class Sweep:
    """Moves jobs of lost workers, and jobs that outlived their deadline or their parent."""

    def __init__(self, role: str, engines: database.Engines, *, seconds: float) -> None:
        """Sweep one role's database."""
        self._role = role
        self._engines = engines
        self.seconds = seconds

    def do(self) -> None:
        """Sweep once."""
        with self._engines.transactions.begin() as connection:
            swept = ledger.sweep(connection) + ledger.sweep_overdue(connection)
            offspring.wake_parents_of_ended(connection, swept)
        with self._engines.transactions.begin() as connection:
            swept += offspring.cancel_orphans(connection)
        for job in swept:
            SWEPT.labels(self._role, job.state).inc()
            _log.info("job_swept", job_id=job.job_id, role=self._role, state=job.state, attempt=job.attempt)
