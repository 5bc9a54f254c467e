"""One turn of a pool process: the job that a doorbell named, then further jobs of its role, one after another.

docs/decisions/queues.md, "A bell wakes a worker, and an awake worker finds the rest".
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database, roles, settings
from shared.jobs import ledger
from workers.attempt import Attempt, ClaimedJob
from workers.guard import Guard, Unguarded
from workers.job import Body

_log = structlog.get_logger()

Bodies = Mapping[str, tuple[contract.Kind, Body]]
"""The kinds of a role by name, each with its body."""


class Turn:
    """Does jobs of a role one after another, the named one first, until none is ready or the turn is over."""

    def __init__(self, role: str, bodies: Bodies, *, owner: str, guard: Guard | Unguarded) -> None:
        """Begin a turn of a role's jobs, which lasts as long as the guard allows; `owner` names this process."""
        self._role = role
        self._guard = guard
        self._bodies = bodies
        self._until = time.monotonic() + guard.turn_seconds
        self._claim_options: dict[str, Any] = {
            "owner": owner,
            "lease_seconds": settings.load().lease_seconds,
            "max_run_seconds": roles.ROLES[role].max_run_seconds,
        }

    def work(self, job_id: str) -> str | None:
        """Do the named job, then others; return the class of the error with which the named job failed."""
        with self._guard.busy():
            error, claimed = self._claim(lambda connection: ledger.claim(connection, job_id, **self._claim_options))
            if claimed is not None:
                error, claimed = self._do(claimed, has_message=True)
            while claimed is not None or (claimed := self._claim_next()):
                claimed = self._do(claimed, has_message=False)[1]
        return error

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._until and not self._guard.is_last()

    def _claim_next(self) -> ClaimedJob | None:
        if not self._may_go_on():
            return None
        kinds = list(self._bodies)
        _, claimed = self._claim(lambda connection: ledger.claim_next(connection, kinds, **self._claim_options))
        return claimed

    def _claim(self, run: Callable[[sa.Connection], ledger.Claim | None]) -> tuple[str | None, ClaimedJob | None]:
        """Claim a job; return the class of the error that prevented it, if any, and the job, if there was one."""
        since = time.monotonic()
        try:
            with database.of_process()[self._role].relaxed.connect() as connection:
                claim = run(connection)
        except database.FAULTS as fault:
            # The row still waits, and the sweeper will ring for it again.
            _log.warning("claim_failed", role=self._role, error=type(fault).__name__)
            return type(fault).__name__, None
        return None, None if claim is None else ClaimedJob(claim, since)

    def _do(self, claimed: ClaimedJob, *, has_message: bool) -> tuple[str | None, ClaimedJob | None]:
        """Do a job; return the class of the error with which it failed, and the job that was claimed with its end."""
        claim = claimed.claim
        kind, body = self._bodies[claim.kind]
        attempt = Attempt(kind, claim, guard=self._guard, next_claim_options=self._next_claim_options)
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job_id, role=self._role, kind=kind.name, tenant=claim.tenant_id, attempt=claim.attempt
        ):
            _log.info("job_claimed")
            with self._guard.work(
                kind.name, claim.job_id, attempt=claim.attempt, since=claimed.since, has_message=has_message
            ) as report:
                report.error = attempt.run(body)
                report.goes_on = attempt.next is not None
        return report.error, attempt.next

    def _next_claim_options(self) -> dict[str, Any] | None:
        """Return the arguments for claiming the next job with an end; None when none is to be claimed."""
        return {"kinds": list(self._bodies), **self._claim_options} if self._may_go_on() else None
