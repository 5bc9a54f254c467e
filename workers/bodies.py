"""Which function is the body of which kind of job, and the Celery task that a doorbell starts for it."""

import os
from collections.abc import Callable
from typing import Any

import celery

from shared import contract
from workers import turn
from workers.guard import Guard, Unguarded
from workers.job import Body

_bodies: dict[str, dict[str, tuple[contract.Kind, Body]]] = {}
"""By role, then by the kind's name."""

_guard: Guard | Unguarded = Unguarded()
"""What watches the jobs of this process."""


class JobError(Exception):
    """Shows Celery, and so Flower, that a job failed; it carries ids only."""


def set_guard(guard: Guard | Unguarded) -> None:
    """Let a guard watch the jobs of this process from now on."""
    global _guard
    _guard = guard


def job(kind: contract.Kind) -> Callable[[Body], Body]:
    """Register a function as the body of a kind of job; ValueError when the kind already has one.

    docs/decisions/kinds.md, "Kinds are bound by name, and a second body is an error".
    """

    def register(body: Body) -> Body:
        bodies = _bodies.setdefault(kind.role, {})
        if kind.name in bodies:
            first = bodies[kind.name][1]
            raise ValueError(f"{kind.name} has a body already: {first.__module__}.{first.__qualname__}")

        def answer(task: Any, *, v: int, job_id: str) -> None:
            """Do the job that a doorbell names, if its row says that it still waits, then others of the role."""
            if v != 1:
                raise JobError(f"unknown doorbell version {v}; this worker knows 1")
            owner = f"{task.request.hostname}/{os.getpid()}"
            error = turn.Turn(kind.role, of_role(kind.role), owner=owner, guard=_guard).work(job_id)
            if error is not None:
                raise JobError(f"{job_id}: {error}")

        celery.shared_task(answer, name=kind.name, bind=True, throws=(JobError,))
        bodies[kind.name] = (kind, body)
        return body

    return register


def of_role(role: str) -> turn.Bodies:
    """Return the kinds of a role that have a body in this process, by name."""
    return _bodies.get(role, {})


def perform(job_id: str, *, kind: contract.Kind, body: Body | None = None) -> str | None:
    """Claim a job, do it and write its end in this process, without Celery; return the error's class when it failed.

    Without a `body` the one that is registered for the kind is used.
    """
    body = body or of_role(kind.role)[kind.name][1]
    return turn.Turn(kind.role, {kind.name: (kind, body)}, owner="here", guard=Unguarded()).work(job_id)
