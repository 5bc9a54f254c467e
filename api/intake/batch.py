"""Accepts jobs in several databases, in all of them or in none.

See docs/decisions/accepting.md, "A batch over several roles is inserted in all databases before the first commits".
"""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from api.intake import idempotency
from api.intake.orders import Order
from shared import database, fingerprints
from shared.jobs import ledger, tables


def key_of(key: str, index: int) -> str:
    """Make the idempotency key of a job of a batch, by its place there."""
    # A client's key can't contain a newline, so the key of a single job never equals one of a batch.
    return f"{key}\n{index}"


def identify(
    orders: Sequence[Order], *, key: str | None, own_keys: Sequence[str | None]
) -> tuple[Sequence[Order], list[str | None]]:
    """Return the orders of a batch, which with the batch's key are the same only together, and the key of each job.

    A job with a key of its own is the same whichever batch it comes with.
    """
    if key is None:
        return orders, list(own_keys)
    digest = fingerprints.compute({"jobs": [order.fingerprint for order in orders]})
    identified = [
        order if own is not None else dataclasses.replace(order, request_digest=digest)
        for order, own in zip(orders, own_keys, strict=True)
    ]
    return identified, [key_of(key, index) if own is None else own for index, own in enumerate(own_keys)]


def accept(
    databases: database.Databases, by_role: Mapping[str, Sequence[ledger.NewJob]], *, ring_soon_seconds: float
) -> dict[str, int]:
    """Insert jobs by role, and commit only when every database has its rows; returns `created_at` by id.

    When a database fails at its commit after another has committed, the other's rows are deleted again; no doorbell has
    been rung for them yet.
    """
    created_at_by_id: dict[str, int] = {}
    committed: list[str] = []
    with contextlib.ExitStack() as stack:
        connections: dict[str, sa.Connection] = {}
        # In the same order for all batches, so that two of them wait for each other instead of deadlocking.
        for role, jobs in sorted(by_role.items()):
            with database.available(role):
                connection = stack.enter_context(databases[role].transactions.connect())
                connection.begin()
                created_at_by_id |= ledger.accept(connection, jobs, ring_again_seconds=ring_soon_seconds)
                idempotency.check_repeated(connection, [job for job in jobs if job.id not in created_at_by_id])
                connections[role] = connection
        for role, connection in connections.items():
            try:
                with database.available(role):
                    connection.commit()
                committed.append(role)
            except Exception:
                # Otherwise the connection would return to the pool with a transaction that is still open in SQLite.
                connection.rollback()
                for other in committed:
                    _delete_again(databases[other], [job.id for job in by_role[other] if job.id in created_at_by_id])
                raise
    return created_at_by_id


def _delete_again(engines: database.Engines, job_ids: Sequence[str]) -> None:
    """Delete jobs whose ids nobody knows, and with them their idempotency keys, so that the client can retry."""
    with engines.transactions.begin() as connection:
        connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id.in_(job_ids)))
        connection.execute(sa.delete(tables.job_tags).where(tables.job_tags.c.job_id.in_(job_ids)))
