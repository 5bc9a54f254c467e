"""One turn of a pool process: the job that a doorbell named, then the next ones of its role, one after another."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from shared import contract, database, roles, settings
from shared.jobs import ledger
from workers.attempt import Attempt, Held
from workers.guard import Guard, Unguarded
from workers.job import Body

_log = structlog.get_logger()

Bodies = Mapping[str, tuple[contract.Kind, Body]]
"""The kinds of a role by name, each with its body."""


class Turn:
    """One job of a role after another, the first first, until none is ready or the turn is over."""

    def __init__(self, role: str, bodies: Bodies, *, owner: str, guard: Guard | Unguarded) -> None:
        """Begin a turn of a role's jobs, which lasts as long as the guard allows; `owner` names this process."""
        self._role = role
        self._guard = guard
        self._bodies = bodies
        self._until = time.monotonic() + guard.turn_seconds
        self._terms: dict[str, Any] = {
            "owner": owner,
            "lease_seconds": settings.load().lease_seconds,
            "max_run_seconds": roles.ROLES[role].max_run_seconds,
        }

    def work(self, job_id: str) -> str | None:
        """Do the named job, and others; gives the class of the error with which the named job failed."""
        with self._guard.busy():
            error, held = self._claim(lambda connection: ledger.claim(connection, job_id, **self._terms))
            if held is not None:
                error, held = self._do(held, has_message=True)
            while held is not None or (held := self._next()):
                held = self._do(held, has_message=False)[1]
        return error

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._until and not self._guard.is_last()

    def _next(self) -> Held | None:
        if not self._may_go_on():
            return None
        return self._claim(lambda connection: ledger.claim_next(connection, list(self._bodies), **self._terms))[1]

    def _claim(self, take: Callable[[sa.Connection], ledger.Claim | None]) -> tuple[str | None, Held | None]:
        """Take a job; gives the class of the error that kept us from it, and the job."""
        since = time.monotonic()
        try:
            with database.of_process()[self._role].relaxed.connect() as connection:
                claim = take(connection)
        except database.FAULTS as fault:
            # The row waits, and the sweeper rings for it again.
            _log.warning("claim_failed", role=self._role, error=type(fault).__name__)
            return type(fault).__name__, None
        return None, None if claim is None else Held(claim, since)

    def _do(self, held: Held, *, has_message: bool) -> tuple[str | None, Held | None]:
        """Do a job; gives the class of the error with which it failed, and the next job if it came with the end."""
        claim = held.claim
        kind, body = self._bodies[claim.kind]
        attempt = Attempt(kind, claim, guard=self._guard, take_next=self._take_next)
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job_id, role=self._role, kind=kind.name, tenant=claim.tenant_id, attempt=claim.attempt
        ):
            _log.info("job_claimed")
            with self._guard.work(
                kind.name, claim.job_id, attempt=claim.attempt, since=held.since, has_message=has_message
            ) as told:
                told.error = attempt.run(body)
                told.goes_on = attempt.next is not None
        return told.error, attempt.next

    def _take_next(self) -> dict[str, Any] | None:
        """Give the terms for taking the next job together with an end; None when none is to be taken."""
        return {"kinds": list(self._bodies), **self._terms} if self._may_go_on() else None
