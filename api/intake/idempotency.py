"""Idempotency keys: repeating a request returns the jobs that it created; another request with its key is refused."""

from collections.abc import Sequence

import sqlalchemy as sa

from api.intake.orders import Accepted
from shared import contract, database, errors
from shared.jobs import ledger, views


def is_known(databases: database.Databases, kind: contract.Kind, key: str, *, tenant_id: str) -> bool:
    """Return whether a job of a kind was accepted under a key."""
    with database.available(kind.role), databases[kind.role].statements.connect() as connection:
        return bool(views.read_by_keys(connection, tenant_id=tenant_id, kind=kind.name, keys=[key]))


def replay(databases: database.Databases, new_jobs: Sequence[ledger.NewJob], *, tenant_id: str) -> list[Accepted]:
    """Read the jobs that earlier requests created under the keys of new ones; raises IdempotencyMismatchError."""
    rows: dict[tuple[str, str], views.KeyedJob] = {}
    for kind in {job.kind for job in new_jobs}:
        keys = [job.idempotency_key for job in new_jobs if job.kind == kind and job.idempotency_key]
        with databases[kind.partition(".")[0]].statements.connect() as connection:
            for row in views.read_by_keys(connection, tenant_id=tenant_id, kind=kind, keys=keys):
                rows[kind, row.idempotency_key] = row
    replayed = []
    for job in new_jobs:
        row = rows[job.kind, job.idempotency_key or ""]
        _check_same(row, job)
        replayed.append(Accepted(views.to_document(row), version=row.version, is_new=row.id == job.id))
    return replayed


def replay_keyed(
    databases: database.Databases, new_jobs: Sequence[ledger.NewJob], *, tenant_id: str
) -> dict[str, Accepted]:
    """Replay those of a batch's jobs that have a key, by their new ids; the others can't have been accepted before."""
    keyed = [job for job in new_jobs if job.idempotency_key is not None]
    replayed = replay(databases, keyed, tenant_id=tenant_id)
    return {job.id: accepted for job, accepted in zip(keyed, replayed, strict=True)}


def check_repeated(connection: sa.Connection, repeated: Sequence[ledger.NewJob]) -> None:
    """Raise IdempotencyMismatchError when the key of a job that was not inserted belongs to another request."""
    for kind in {job.kind for job in repeated}:
        by_key = {job.idempotency_key: job for job in repeated if job.kind == kind}
        keys = [key or "" for key in by_key]
        for row in views.read_by_keys(connection, tenant_id=repeated[0].tenant_id, kind=kind, keys=keys):
            _check_same(row, by_key[row.idempotency_key])


def _check_same(row: views.KeyedJob, job: ledger.NewJob) -> None:
    if row.fingerprint != job.fingerprint:
        raise errors.IdempotencyMismatchError(
            "This Idempotency-Key was sent before with another request; repeat that request, or send a new key."
        )
