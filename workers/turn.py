"""One turn of a pool process: the job that a doorbell named, then further jobs of its role, one after another.

docs/decisions/queues.md, "A bell wakes a worker, and an awake worker finds the rest".
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import sqlalchemy as sa
import structlog

from shared import contract, database, roles, settings
from shared.jobs import ledger
from workers.attempt import Attempt, ClaimedJob
from workers.gathered import GatheredAttempt
from workers.guard import Guard, Unguarded
from workers.job import Body, GatheredBody

_log = structlog.get_logger()

Bodies = Mapping[str, tuple[contract.Kind, Body | GatheredBody]]
"""The kinds of a role by name, each with its body: a `GatheredBody` if the kind gathers."""


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
        """Do the named job, then others; return why the named job failed, in a form that may be shown."""
        with self._guard.busy():
            error, claimed = self._claim(lambda connection: ledger.claim(connection, job_id, **self._claim_options))
            if claimed is not None:
                error, claimed = self._do(claimed, has_message=True)
            while claimed is not None or (claimed := self._claim_next()):
                claimed = self._do(claimed, has_message=False)[1]
        return error

    def work_unasked(self) -> str | None:
        """Do jobs that wait, though no doorbell named one; return the class of the error that prevented the claim."""
        with self._guard.busy():
            error, claimed = self._claim_waiting()
            while claimed is not None:
                claimed = self._do(claimed, has_message=False)[1] or self._claim_next()
        return error

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._until and not self._guard.is_last()

    def _claim_next(self) -> ClaimedJob | None:
        return self._claim_waiting()[1] if self._may_go_on() else None

    def _claim_waiting(self) -> tuple[str | None, ClaimedJob | None]:
        kinds = list(self._bodies)
        return self._claim(lambda connection: ledger.claim_next(connection, kinds, **self._claim_options))

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
        """Do a job; return why it failed, in a form that may be shown, and the job that was claimed with its end."""
        claim = claimed.claim
        kind, body = self._bodies[claim.kind]
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job_id,
            correlation_id=claim.story_id,
            role=self._role,
            kind=kind.name,
            tenant=claim.tenant_id,
            attempt=claim.attempt,
        ):
            _log.info("job_claimed")
            if kind.gathers is not None:
                gathered = cast(GatheredBody, body)
                return self._do_together(kind, gathered, claimed, has_message=has_message), None
            attempt = Attempt(kind, claim, guard=self._guard, next_claim_options=self._next_claim_options)
            with self._guard.work(kind.name, [_hold(claim)], since=claimed.since, has_message=has_message) as report:
                error = attempt.run(cast(Body, body))
                report.note(error, claim.job_id)
                report.goes_on = attempt.next is not None
        return error, attempt.next

    def _do_together(
        self, kind: contract.Kind, body: GatheredBody, claimed: ClaimedJob, *, has_message: bool
    ) -> str | None:
        """Do a job and those that wait and are alike; return why the first one failed."""
        claims = [claimed.claim, *self._claim_alike(kind, claimed.claim)]
        attempt = GatheredAttempt(kind, claims, guard=self._guard)
        held = [_hold(claim) for claim in claims]
        with self._guard.work(kind.name, held, since=claimed.since, has_message=has_message) as report:
            report.errors = attempt.run(body)
        return report.errors.get(claimed.claim.job_id)

    def _claim_alike(self, kind: contract.Kind, first: ledger.Claim) -> list[ledger.Claim]:
        """Claim what waits and may be done together with a job; nothing if that one may be why a worker was lost."""
        if kind.gathers is None or first.lost or first.parent_id is not None or not self._may_go_on():
            return []
        try:
            with database.of_process()[self._role].relaxed.connect() as connection:
                alike = ledger.claim_alike(connection, first, kind.gathers, **self._claim_options)
        except database.FAULTS as fault:
            _log.warning("claim_failed", role=self._role, error=type(fault).__name__)
            return []
        for claim in alike:
            ids_of_job = {"job_id": claim.job_id, "correlation_id": claim.story_id}
            _log.info("job_claimed", **ids_of_job, attempt=claim.attempt, with_job=first.job_id)
        return alike

    def _next_claim_options(self) -> dict[str, Any] | None:
        """Return the arguments for claiming the next job with an end; None when none is to be claimed."""
        return {"kinds": list(self._bodies), **self._claim_options} if self._may_go_on() else None


def _hold(claim: ledger.Claim) -> ledger.Held:
    return ledger.Held(claim.job_id, claim.attempt)
