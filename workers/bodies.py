"""Which function does which kind of job, and the Celery task that a doorbell wakes for it."""

import os
from collections.abc import Callable
from typing import Any

import celery

from shared import contract
from workers import turn
from workers.guard import Guard, Unguarded
from workers.job import Body

_bodies: dict[str, dict[str, tuple[contract.Kind, Body]]] = {}
"""By role and by the kind's name."""

_guard: Guard | Unguarded = Unguarded()
"""What watches the jobs of this process."""


class JobError(Exception):
    """Tells Celery, and so Flower, that a job failed; it carries ids only."""


def set_guard(guard: Guard | Unguarded) -> None:
    """Let a guard watch the jobs of this process from now on."""
    global _guard
    _guard = guard


def job(kind: contract.Kind) -> Callable[[Body], Body]:
    """Register a function as the body of a kind of job; raises ValueError when the kind has a body already."""

    def register(body: Body) -> Body:
        bodies = _bodies.setdefault(kind.role, {})
        if kind.name in bodies:
            before = bodies[kind.name][1]
            raise ValueError(f"{kind.name} has a body already: {before.__module__}.{before.__qualname__}")

        def answer(task: Any, *, v: int, job_id: str) -> None:
            """Do what a doorbell asks for, if the row says that there is something to do; then what else waits."""
            if v != 1:
                raise JobError(f"doorbell version {v} is not known")
            owner = f"{task.request.hostname}/{os.getpid()}"
            error = turn.Turn(kind.role, of_role(kind.role), owner=owner, guard=_guard).work(job_id)
            if error is not None:
                raise JobError(f"{job_id}: {error}")

        celery.shared_task(answer, name=kind.name, bind=True, throws=(JobError,))
        bodies[kind.name] = (kind, body)
        return body

    return register


def of_role(role: str) -> turn.Bodies:
    """List the kinds of a role that have a body in this process, by name."""
    return _bodies.get(role, {})


def perform(job_id: str, *, kind: contract.Kind, body: Body | None = None) -> str | None:
    """Claim a job, do it and write its end in this very process, without Celery; gives the error's class, if any.

    Without a `body` it is done by the one that is registered for its kind.
    """
    body = body or of_role(kind.role)[kind.name][1]
    return turn.Turn(kind.role, {kind.name: (kind, body)}, owner="here", guard=Unguarded()).work(job_id)
