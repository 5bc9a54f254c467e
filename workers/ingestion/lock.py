"""A lock on a dataset's name: loads of it come one after another, each from the version that the one before has made.

The lock's row names the job that has it, and it is that job's for as long as the job runs: there is no lease to renew
and nothing to give back. A job that finds it taken rests in the queue, which costs it no try and holds no worker.
"""

import random

import sqlalchemy as sa

from shared import clock, database
from shared.ingestion.tables import locks
from shared.jobs.states import State
from shared.jobs.tables import jobs

_LEAST_SECONDS = 0.25
_MOST_SECONDS = 10.0
_PART_OF_AGE = 0.25
"""A job that waits for long asks seldom, so that a thousand that wait don't keep the database busy."""


def take(connection: sa.Connection, *, tenant_id: str, name: str, job_id: str) -> bool:
    """Lock a dataset's name for a running job, in a transaction; False while another running job has the lock."""
    of_name = sa.and_(locks.c.tenant_id == tenant_id, locks.c.name == name)
    connection.execute(
        database.insert(connection, locks)
        .values(tenant_id=tenant_id, name=name, job_id=job_id)
        .on_conflict_do_nothing()
    )
    holder = connection.execute(sa.select(locks.c.job_id).where(of_name).with_for_update()).scalar_one()
    # By a statement of its own: one that waited for the row would not see what was committed meanwhile.
    if holder != job_id and _is_running(connection, holder):
        return False
    connection.execute(sa.update(locks).where(of_name).values(job_id=job_id))
    return True


def _is_running(connection: sa.Connection, job_id: str) -> bool:
    state = sa.select(jobs.c.state).where(jobs.c.id == job_id)
    return connection.execute(state).scalar() == State.RUNNING


def rest_seconds(connection: sa.Connection, *, job_id: str) -> float:
    """Give how long a job should wait before it asks again, with jitter: the longer, the older it is."""
    age = sa.select(clock.now_ms() - jobs.c.created_at).where(jobs.c.id == job_id)
    seconds = connection.execute(age).scalar_one() / 1000 * _PART_OF_AGE
    longest = min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter is no secret.
