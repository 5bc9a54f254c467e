"""A worker without Celery: it does a job in this process, as a pool's process would after the doorbell."""

from typing import Any

from shared import kinds, roles
from workers import bodies
from workers.app import register
from workers.job import Body, Finish, Job

for role in roles.ROLES:
    register(role)


def perform(job: dict[str, Any], *, body: Body | None = None) -> str | None:
    """Do a job, as the API described it, to its end; gives the error's class when it failed."""
    return bodies.perform(job["id"], kind=kinds.by_name()[job["kind"]], body=body)


def fail(_job: Job, _command: Any) -> Finish:
    """Fail, as a body that meets bad data does."""
    raise ValueError("the data is bad")
