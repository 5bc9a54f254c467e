"""The chore of deleting jobs that ended long ago."""

from collections.abc import Sequence

import prometheus_client
import sqlalchemy as sa
import structlog

from shared import database, settings
from shared.jobs import expiry

_log = structlog.get_logger()
_SECONDS = 10.0
_SECONDS_BETWEEN_WALKS = 600.0
_BATCH_SIZE = 200
_SECONDS_PER_DAY = 86_400

EXPIRED = prometheus_client.Counter("millrace_jobs_expired_total", "Jobs that were deleted after their time.", ["role"])


class Expire:
    """Deletes jobs that ended more than MILLRACE_JOB_RETENTION_DAYS ago, oldest first, some at a time.

    docs/decisions/jobs.md, "An old job is deleted once nothing names it".
    """

    def __init__(self, role: str, engines: database.Engines, *, config: settings.Settings) -> None:
        """Delete from one role's database."""
        self.seconds = _SECONDS
        self._role = role
        self._engines = engines
        self._retention_seconds = config.job_retention_days * _SECONDS_PER_DAY
        self._naming: Sequence[sa.ColumnElement[str]] = ()
        self._after = ""

    def do(self) -> None:
        """Look at the next jobs; some time after the last old one it begins again with the oldest."""
        if not self._retention_seconds:
            return
        if not self._after:
            with self._engines.statements.connect() as connection:
                self._naming = expiry.naming_columns(connection)
        with self._engines.transactions.begin() as connection:
            batch = expiry.delete_batch(
                connection,
                after=self._after,
                retention_seconds=self._retention_seconds,
                naming=self._naming,
                limit=_BATCH_SIZE,
            )
        self._after = batch.last_id or ""
        self.seconds = _SECONDS if batch.last_id else _SECONDS_BETWEEN_WALKS
        if batch.deleted_ids:
            EXPIRED.labels(self._role).inc(len(batch.deleted_ids))
            _log.info("jobs_expired", role=self._role, jobs=len(batch.deleted_ids))
