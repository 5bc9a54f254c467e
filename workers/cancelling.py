"""Cancels a job for an operator, who belongs to no tenant."""

import sqlalchemy as sa
import structlog

from shared import database
from shared.jobs import ledger, offspring, tables

_log = structlog.get_logger()


def cancel(engines: database.Engines, job_id: str) -> None:
    """Cancel a job of any tenant and its children, as `POST /v1/jobs/{id}/cancel` does; nothing when it has ended."""
    with engines.transactions.begin() as connection:
        cancelled = ledger.cancel_all(connection, sa.select(tables.jobs.c.id).where(tables.jobs.c.id == job_id))
    if not cancelled:
        return
    with engines.transactions.begin() as connection:
        # In a transaction of its own, so no deadlock: a child that ends locks its own row first, then its parent's.
        offspring.cancel_children(connection, job_id)
        offspring.wake_parents_of_ended(connection, cancelled)
    _log.info("job_cancel_requested", job_id=job_id, state=cancelled[0].state, by="operator")
