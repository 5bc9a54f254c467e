"""Releases the jobs of processes of this host that are proved to be dead, without waiting for their leases to run out.

docs/decisions/workers.md, "A lease is handed back early only on proof of death".
"""

import structlog

from shared import database
from shared.jobs import ledger, log_lines, offspring, owners

_log = structlog.get_logger()


def release(engines: database.Engines, *, role: str) -> list[ledger.MovedJob]:
    """Release a role's jobs whose worker, parent and pool process, died on this host; return them."""
    place = owners.place()
    if place is None:
        return []
    with engines.statements.connect() as connection:
        leases = ledger.list_leases(connection, place=place)
    released: list[ledger.MovedJob] = []
    for lease in leases:
        if owners.is_dead(lease.owner):
            with engines.transactions.begin() as connection:
                moved = ledger.lose(connection, lease.job_id, attempt=lease.attempt)
                log_lines.note_losses(connection, [job.job_id for job in moved])
                offspring.wake_parents_of_ended(connection, moved)
            released += moved
    for job in released:
        _log.warning("job_worker_died", job_id=job.job_id, role=role, attempt=job.attempt, state=job.state)
    return released
