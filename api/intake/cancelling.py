"""Cancels a job, and with it its children."""

import structlog

from shared import database, ids, roles
from shared.jobs import ledger, offspring

_log = structlog.get_logger()


def cancel(databases: database.Databases, job_id: str, *, tenant_id: str) -> ledger.MovedJob | None:
    """Cancel a tenant's job: at once when it is queued, flagged when it runs; None when it has ended or isn't there."""
    role = ids.role_of(job_id)
    if role not in roles.ROLES:
        return None
    with database.available(role), databases[role].statements.begin() as connection:
        cancelled = ledger.cancel(connection, job_id, tenant_id=tenant_id)
    if cancelled is not None:
        with database.available(role), databases[role].transactions.begin() as connection:
            # In a transaction of its own, so no deadlock: a child that ends locks its own row first, then its parent's.
            offspring.cancel_children(connection, job_id)
            offspring.wake_parents_of_ended(connection, [cancelled])
        _log.info("job_cancel_requested", job_id=job_id, role=role, state=cancelled.state)
    return cancelled
