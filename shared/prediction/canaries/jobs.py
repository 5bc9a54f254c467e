"""The job that moves a canary: submitted in the transaction that starts or resumes it, so that neither is alone.

The sweeper rings for it.
"""

import sqlalchemy as sa

from shared.prediction import own_jobs
from shared.prediction.contract import ROLLOUT, RollOut


def submit(connection: sa.Connection, *, tenant_id: str, deployment: str, canary: int, submitted_by: str) -> str:
    """Submit the job of a canary; returns its id, which the canary's state has to name."""
    params = RollOut(deployment=deployment, canary=canary).model_dump(mode="json")
    return own_jobs.submit(connection, ROLLOUT.name, tenant_id=tenant_id, params=params, submitted_by=submitted_by)
