"""Celery's remote-control commands, as Flower and `celery control` send them, with Millrace's meaning.

docs/decisions/queues.md, "Revoking or terminating a task cancels its job".
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from celery.worker import control

_REFUSED = {
    "revoke_by_stamped_headers": "doorbells have no stamps; cancel jobs by their ids",
    "rate_limit": "a worker takes jobs from its database, which knows no rates",
    "time_limit": "a job's limit is its deadline_seconds, and its role's longest run",
    "pool_grow": "set MILLRACE_WORKER_CONCURRENCY, or start more workers",
    "pool_shrink": "set MILLRACE_WORKER_CONCURRENCY, or stop a worker",
    "pool_restart": "stop the worker: its supervisor starts it again",
    "autoscale": "set MILLRACE_WORKER_CONCURRENCY, or start more workers",
    "add_consumer": "a worker serves the roles that it was started with",
    "cancel_consumer": "stop the worker: it hands its jobs back",
}
"""What a worker doesn't do when it is told to, and what does it instead."""


def register() -> None:
    """Replace Celery's commands by ours, for every worker of this process."""
    control.control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")(_cancel)
    control.control_command(
        name="terminate", args=[("signal", str)], variadic="task_id", signature="<signal> [id1 [id2 [... [idN]]]]"
    )(_cancel)
    control.control_command(name="shutdown")(_shut_down)
    for name, remedy in _REFUSED.items():
        control.control_command(name=name)(_refusal(name, remedy))


def _cancel(state: Any, task_id: str | list[str], **_: Any) -> dict[str, str]:
    """Cancel the jobs of some ids."""
    job_ids = [task_id] if isinstance(task_id, str) else list(task_id or [])
    taken = [job_id for job_id in job_ids if isinstance(job_id, str) and state.consumer.cancel_job(job_id)]
    return control.ok(f"to be cancelled: {', '.join(taken) or 'none'}")  # type: ignore[no-any-return]


def _shut_down(_state: Any, **_: Any) -> None:
    """Stop the worker as TERM does; its jobs have their grace."""
    os.kill(os.getpid(), signal.SIGTERM)


def _refusal(name: str, remedy: str) -> Callable[..., dict[str, str]]:
    def refuse(_state: Any, **_: Any) -> dict[str, str]:
        return control.nok(f"Millrace's workers don't take {name}: {remedy}")  # type: ignore[no-any-return]

    refuse.__doc__ = f"Not offered: {remedy}."
    return refuse
