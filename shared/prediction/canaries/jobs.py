"""The job that moves a canary: submitted in the transaction that starts or resumes it, so that neither is alone.

The sweeper rings for it.
"""

import sqlalchemy as sa

from shared import ids, roles
from shared.jobs import ledger
from shared.prediction.contract import ROLLOUT, RollOut


def submit(connection: sa.Connection, *, tenant_id: str, deployment: str, canary: int, submitted_by: str) -> str:
    """Submit the job of a canary; returns its id, which the canary's state has to name."""
    role = ROLLOUT.role
    job = ledger.NewJob(
        id=ids.new_job_id(role),
        tenant_id=tenant_id,
        kind=ROLLOUT.name,
        params=RollOut(deployment=deployment, canary=canary).model_dump(mode="json"),
        pinned={},
        submitted_by=submitted_by,
        tries_left=roles.ROLES[role].tries,
    )
    ledger.accept(connection, [job], ring_again_seconds=0)
    return job.id
