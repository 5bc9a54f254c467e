"""The chore of submitting the jobs in which shadows predict what copies have sampled."""

import time
from typing import Any

import sqlalchemy as sa
import structlog

from shared import clock, database
from shared.jobs import tables
from shared.jobs.states import TERMINAL, State
from shared.objects import store
from shared.objects.outages import Outages
from shared.prediction import changes, snapshots
from shared.prediction.shadows import batches, waiting
from shared.prediction.tables import deployment_changes, shadow_batches, shadow_sums

_log = structlog.get_logger()
_SECONDS = 1.0
_ENOUGH_ROWS, _LONGEST_MS = 500, 5_000
"""A job is submitted for so many rows, or once the oldest have waited so long, since a job costs more than a row."""
_PAUSE_SECONDS = 60.0
"""After a job that failed, so that a shadow which kills its worker doesn't do so again and again."""
_TIDY_EVERY = 600
_KEEP_SUMS_MS = 90 * 86_400_000
_ORPHANED_MS = 3_600_000


class ShadowJobs:
    """Submits one job at a time for the shadows of each deployment, and counts what the jobs didn't get done."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, objects: store.Store) -> None:
        """Look into the prediction role's database; the batches' objects are in a store."""
        self._engines = engines
        self._objects = objects
        self._paused_until: dict[tuple[str, str], float] = {}
        self._turns = 0
        self._outages = Outages("shadow_batches_not_removed")

    def do(self) -> None:
        """Look once."""
        with self._engines.statements.connect() as connection:
            job_ids = waiting.list_jobs(connection)
        for job_id in job_ids:
            self._end(job_id)
        with self._engines.statements.connect() as connection:
            found = waiting.list_waiting(connection)
        for deployment in found:
            if self._is_due(deployment):
                self._submit(deployment)
        self._turns += 1
        if self._turns % _TIDY_EVERY == 1:
            self._tidy()

    def _is_due(self, deployment: waiting.Waiting) -> bool:
        key = (deployment.tenant_id, deployment.deployment)
        if time.monotonic() < self._paused_until.get(key, 0.0):
            return False
        self._paused_until.pop(key, None)
        return deployment.rows >= _ENOUGH_ROWS or deployment.oldest_ms >= _LONGEST_MS

    def _end(self, job_id: str) -> None:
        """Count what a job that has ended has left undone; one that succeeded has left nothing."""
        jobs = tables.jobs
        query = sa.select(jobs.c.state, jobs.c.tenant_id, jobs.c.params, jobs.c.attempt, jobs.c.error_message)
        with self._engines.transactions.begin() as connection:
            job = connection.execute(query.where(jobs.c.id == job_id)).one_or_none()
            if job is not None and job.state not in TERMINAL:
                return
            state = "gone" if job is None else job.state
            message = None if job is None else job.error_message
            reason = f"its job is {state}: {message}" if message else f"its job is {state}"
            # One that was cancelled, or waited for a worker until its deadline, says nothing of the shadow.
            has_failed = job is not None and job.attempt > 0 and job.state != State.CANCELLED
            names = waiting.end(connection, job_id, reason=reason, has_failed=has_failed)
        if names:
            _log.warning("shadow_job_undone", job_id=job_id, state=state, batches=len(names))
            if job is not None and has_failed:
                key = (job.tenant_id, job.params["deployment"])
                self._paused_until[key] = time.monotonic() + _PAUSE_SECONDS
        self._remove(names)

    def _submit(self, deployment: waiting.Waiting) -> None:
        needs = snapshots.take(self._engines, tenant_id=deployment.tenant_id, name=deployment.deployment)
        with self._engines.transactions.begin() as connection:
            head = changes.find(connection, tenant_id=deployment.tenant_id, name=deployment.deployment)
            if needs is None or head is None or not head.state.get("shadow"):
                names = waiting.lose_all(connection, deployment, reason="the deployment had no shadow any more")
            else:
                names = []
                pinned: dict[str, Any] = {
                    "deployment": f"{deployment.deployment}@{needs.revision}",
                    "snapshot": needs.mark,
                    "models": needs.models,
                }
                author = _find_author(connection, head)
                waiting.submit(connection, deployment, pinned=pinned, submitted_by=author)
        self._remove(names)

    def _remove(self, names: list[str]) -> None:
        with self._outages.passing():
            if names:
                self._objects.remove(*map(batches.key_of, names))

    def _tidy(self) -> None:
        """Remove sums that are old, and objects of which nobody told before their copy was gone."""
        with self._engines.statements.begin() as connection:
            old = shadow_sums.c.started_at < clock.now_ms_once() - _KEEP_SUMS_MS
            connection.execute(sa.delete(shadow_sums).where(old))
            now = clock.read(connection)
            known = {batches.key_of(name) for name in connection.execute(sa.select(shadow_batches.c.name)).scalars()}
        with self._outages.passing():
            orphans = [
                listed.key
                for listed in self._objects.list(batches.FOLDER)
                if listed.modified_at < now - _ORPHANED_MS and listed.key not in known and not listed.is_foreign
            ]
            if orphans:
                self._objects.remove(*orphans)


def _find_author(connection: sa.Connection, head: sa.Row[Any]) -> str:
    """Find who made a deployment what it is now."""
    table = deployment_changes
    query = sa.select(table.c.changed_by).where(
        table.c.tenant_id == head.tenant_id,
        table.c.deployment == head.name,
        table.c.revision == head.revision,
    )
    return str(connection.execute(query).scalar_one())
