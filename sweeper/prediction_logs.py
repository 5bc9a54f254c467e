"""The chore of deployments' logs: submits the jobs that write what waits as Parquet, and removes files that are old."""

import time

import sqlalchemy as sa
import structlog

from shared import clock, database
from shared.objects import store
from shared.objects.outages import Outages
from shared.prediction.logs import batches, files, waiting
from shared.prediction.tables import prediction_log_losses

_log = structlog.get_logger()
_SECONDS = 2.0
_ENOUGH_BYTES = 64 << 20
"""What is written at once as JSON before its time has come, which is a few MB of Parquet."""
_LONGEST_MS, _FIRST_MS = 600_000, 10_000
"""After how long it is written in any case, and what is the first of a deployment, so that it is seen that it works."""
_PAUSE_SECONDS = 60.0
"""After a job was submitted for a deployment, so that one that fails doesn't do so again and again."""
_DEADLINE_SECONDS = 3600
_TIDY_EVERY = 150
_KEEP_LOSSES_MS = 90 * 86_400_000
_ORPHANED_MS = 24 * 3_600_000
"""Far longer than segments may wait for this sweeper, which tell of objects."""


class PredictionLogs:
    """Submits one job at a time for each deployment's log, and removes what is older than it is to be kept."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, objects: store.Store) -> None:
        """Look into the prediction role's database; batches and files are in a store."""
        self._engines = engines
        self._objects = objects
        self._paused_until: dict[tuple[str, str], float] = {}
        self._turns = 0
        self._outages = Outages("prediction_logs_not_tidied")

    def do(self) -> None:
        """Look once."""
        with self._engines.statements.connect() as connection:
            found = waiting.list_waiting(connection)
        for deployment in found:
            if self._is_due(deployment):
                self._submit(deployment)
        self._turns += 1
        if self._turns % _TIDY_EVERY == 1:
            self._tidy()

    def _is_due(self, deployment: waiting.Waiting) -> bool:
        longest = _LONGEST_MS if deployment.has_files else _FIRST_MS
        if deployment.bytes < _ENOUGH_BYTES and deployment.oldest_ms < longest:
            return False
        return time.monotonic() >= self._paused_until.get((deployment.tenant_id, deployment.deployment), 0.0)

    def _submit(self, deployment: waiting.Waiting) -> None:
        with self._engines.transactions.begin() as connection:
            job_id = waiting.submit(connection, deployment, deadline_seconds=_DEADLINE_SECONDS)
        if job_id is not None:
            key = (deployment.tenant_id, deployment.deployment)
            self._paused_until[key] = time.monotonic() + _PAUSE_SECONDS

    def _tidy(self) -> None:
        """Remove files and counts that are old, and objects of which nobody told before their copy was gone."""
        now_paused = time.monotonic()
        self._paused_until = {key: until for key, until in self._paused_until.items() if until > now_paused}
        with self._engines.transactions.begin() as connection:
            now = clock.read(connection)
            old = files.remove_old(connection, now=now)
            is_old = prediction_log_losses.c.started_at < now - _KEEP_LOSSES_MS
            connection.execute(sa.delete(prediction_log_losses).where(is_old))
            known = {batches.key_of(name) for name in waiting.list_names(connection)}
        with self._outages.passing():
            orphans = [
                listed.key
                for listed in self._objects.list(batches.FOLDER)
                if listed.modified_at < now - _ORPHANED_MS and listed.key not in known and not listed.is_foreign
            ]
            # What the store doesn't remove now, a prune does: no row points at it any more.
            if old or orphans:
                self._objects.remove(*old, *orphans)
                _log.info("prediction_logs_tidied", files=len(old), orphans=len(orphans))
