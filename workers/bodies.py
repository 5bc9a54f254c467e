"""Which function is the body of which kind of job, and the Celery task that a doorbell starts for it."""

from collections.abc import Callable
from typing import Any, TypeVar

import celery
import structlog

from shared import contract, telemetry
from shared.jobs import owners
from workers import turn
from workers.guard import Guard, Unguarded
from workers.job import Body, GatheredBody

_log = structlog.get_logger()
_bodies: dict[str, dict[str, tuple[contract.Kind, Body | GatheredBody]]] = {}
"""By role, then by the kind's name."""

_guard: Guard | Unguarded = Unguarded()
"""What watches the jobs of this process."""


class JobError(Exception):
    """Shows Celery, and so Flower, that a job failed, and why in a form that may be shown."""


def set_guard(guard: Guard | Unguarded) -> None:
    """Let a guard watch the jobs of this process from now on."""
    global _guard
    _guard = guard


AnyBody = TypeVar("AnyBody", Body, GatheredBody)


def job(kind: contract.Kind) -> Callable[[AnyBody], AnyBody]:
    """Register a function as the body of a kind of job; ValueError when the kind already has one.

    The body of a kind that gathers takes several jobs, as a `GatheredBody`.
    docs/decisions/kinds.md, "Kinds are bound by name, and a second body is an error".
    """

    def register(body: AnyBody) -> AnyBody:
        bodies = _bodies.setdefault(kind.role, {})
        if kind.name in bodies:
            first = bodies[kind.name][1]
            raise ValueError(f"{kind.name} has a body already: {first.__module__}.{first.__qualname__}")

        def answer(task: Any, *, v: int, job_id: str) -> None:
            """Do the job that a doorbell names, if its row says that it still waits, then others of the role."""
            if v != 1:
                raise JobError(f"unknown doorbell version {v}; this worker knows 1")
            owner = owners.name_process(task.request.hostname)
            try:
                error = turn.Turn(kind.role, of_role(kind.role), owner=owner, guard=_guard).work(job_id)
            except Exception as failure:  # noqa: BLE001 - nothing but its class may reach Celery.
                # Celery would send the message and the stack of whatever comes here to Flower.
                _log.error("turn_failed", job_id=job_id, **telemetry.describe(failure))
                raise JobError(f"{job_id}: {type(failure).__name__}") from None
            if error is not None:
                raise JobError(f"{job_id}: {error}")

        celery.shared_task(answer, name=kind.name, bind=True, throws=(JobError,))
        bodies[kind.name] = (kind, body)
        return body

    return register


def of_role(role: str) -> turn.Bodies:
    """Return the kinds of a role that have a body in this process, by name."""
    return _bodies.get(role, {})


def perform(job_id: str, *, kind: contract.Kind, body: Body | GatheredBody | None = None) -> str | None:
    """Claim a job, do it and write its end in this process, without Celery; return the error's class when it failed.

    Without a `body` the one that is registered for the kind is used.
    """
    body = body or of_role(kind.role)[kind.name][1]
    reason = turn.Turn(kind.role, {kind.name: (kind, body)}, owner="here", guard=Unguarded()).work(job_id)
    return reason and reason.partition(":")[0]
