"""Accepting jobs in several databases, in all of them or in none."""

import contextlib
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from api.intake import idempotency
from shared import database
from shared.jobs import ledger, tables


def accept(
    databases: database.Databases, by_role: Mapping[str, Sequence[ledger.NewJob]], *, ring_soon_seconds: float
) -> dict[str, int]:
    """Insert jobs by role, none of whose databases commits before all have taken their rows; maps ids to `created_at`.

    A database that fails at its commit, after another has committed, makes us take the other's rows
    back; nobody has rung for them yet.
    """
    accepted: dict[str, int] = {}
    committed: list[str] = []
    with contextlib.ExitStack() as stack:
        open_: dict[str, sa.Connection] = {}
        # In one order, so that two batches wait for each other instead of locking each other out.
        for role, jobs in sorted(by_role.items()):
            with database.available(role):
                connection = stack.enter_context(databases[role].transactions.connect())
                connection.begin()
                accepted |= ledger.accept(connection, jobs, ring_again_seconds=ring_soon_seconds)
                idempotency.check_taken(connection, [job for job in jobs if job.id not in accepted])
                open_[role] = connection
        for role, connection in open_.items():
            try:
                with database.available(role):
                    connection.commit()
                committed.append(role)
            except Exception:
                # Else the pool would get the connection back with a transaction that SQLite has still open.
                connection.rollback()
                for other in committed:
                    _take_back(databases[other], [job.id for job in by_role[other] if job.id in accepted])
                raise
    return accepted


def _take_back(engines: database.Engines, job_ids: Sequence[str]) -> None:
    """Remove jobs whose ids nobody has seen, and with them their keys, so that the client may ask again."""
    with engines.transactions.begin() as connection:
        connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id.in_(job_ids)))
        connection.execute(sa.delete(tables.job_tags).where(tables.job_tags.c.job_id.in_(job_ids)))
