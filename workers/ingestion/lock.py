"""A lock on a dataset's name: its loads run one after another, each from the version that the previous one created.

The lock's row names the job that holds it, for as long as that job runs: there is no lease to renew and nothing to
release. A job that finds it taken rests in the queue, which uses up no attempt and occupies no worker.

docs/decisions/jobs.md, "Loads of one dataset come one after another"
"""

import random

import sqlalchemy as sa

from shared import clock, database
from shared.ingestion.tables import locks
from shared.jobs.states import State
from shared.jobs.tables import jobs

_MIN_SECONDS = 0.25
_MAX_SECONDS = 10.0
_FRACTION_OF_AGE = 0.25
"""A job that has waited for long looks at the lock less often, so that a thousand waiting jobs don't keep the
database busy."""


def take(connection: sa.Connection, *, tenant_id: str, name: str, job_id: str) -> bool:
    """Lock a dataset's name for a running job, in a transaction; False while another running job has the lock."""
    of_name = sa.and_(locks.c.tenant_id == tenant_id, locks.c.name == name)
    connection.execute(
        database.insert(connection, locks)
        .values(tenant_id=tenant_id, name=name, job_id=job_id)
        .on_conflict_do_nothing()
    )
    holder = connection.execute(sa.select(locks.c.job_id).where(of_name).with_for_update()).scalar_one()
    # In a separate statement: the one that waited for the row would not see what was committed in the meantime.
    if holder != job_id and _is_running(connection, holder):
        return False
    connection.execute(sa.update(locks).where(of_name).values(job_id=job_id))
    return True


def _is_running(connection: sa.Connection, job_id: str) -> bool:
    state = sa.select(jobs.c.state).where(jobs.c.id == job_id)
    return connection.execute(state).scalar() == State.RUNNING


def choose_rest_seconds(connection: sa.Connection, *, job_id: str) -> float:
    """Choose how long a job rests before it tries again, with jitter: the older the job, the longer."""
    age = sa.select(clock.now_ms() - jobs.c.created_at).where(jobs.c.id == job_id)
    seconds = connection.execute(age).scalar_one() / 1000 * _FRACTION_OF_AGE
    longest = min(max(seconds, _MIN_SECONDS), _MAX_SECONDS)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter need not be secret.
