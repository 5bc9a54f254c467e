"""Jobs of this role that Millrace submits itself, in the transaction that knows why; the sweeper rings for them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import ids, roles
from shared.jobs import ledger, stories

LOWEST_PRIORITY = -1
"""Behind everything that clients submit."""


def submit(
    connection: sa.Connection,
    kind: str,
    *,
    tenant_id: str,
    params: Mapping[str, Any],
    submitted_by: str,
    pinned: Mapping[str, Any] | None = None,
    priority: int = 0,
    deadline_seconds: int | None = None,
) -> str:
    """Submit a job of a kind, and return its id."""
    role = kind.partition(".")[0]
    job = ledger.NewJob(
        id=ids.new_job_id(role),
        tenant_id=tenant_id,
        kind=kind,
        params=params,
        pinned=pinned or {},
        submitted_by=submitted_by,
        tries_left=roles.ROLES[role].tries,
        priority=priority,
        deadline_seconds=deadline_seconds,
        correlation_id=stories.current(),
    )
    ledger.accept(connection, [job], ring_again_seconds=0)
    return job.id
