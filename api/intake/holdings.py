"""The holdings: what rows and live jobs point at in the object store, in a file that the API makes for a job.

No worker reads another role's database, but what may be deleted from the store depends on all of them. So the API,
which may read all, writes the holdings when it accepts a job of the storage role, and pins the file like an upload.
When one role's database can't be reached, the API answers 503: without its rows nothing is known to be free. See
docs/decisions/storage.md, "The API writes down what is held, and the storage worker deletes the rest".

Why an object that is still needed is never deleted, whatever happens while the holdings are collected or queued:

- *Outputs of a running job.* Their keys contain the job's id, and objects of a job that was live when the holdings were
  collected stay. Live jobs are read before rows. A job that was not live had ended for good, and its rows were
  committed with its end, so they are found when the rows are read later. A child's objects stay while its parent is
  live.
- *Outputs and uploads of a later job* are younger than the holdings. Only objects older than the holdings, less the
  grace, are deleted; both ages are by the store's own clock, because the holdings are an object too.
- *Pins of a live job* are held like rows.
- *Pins of a job that is accepted later.* It can only pin rows that had no `deleted_at` when they were looked up. Such a
  row held its object when the holdings were collected; or it was deleted within the grace, and still holds its object.
  The grace (at least an hour) is far longer than the time between a pin and the commit of its job's row.
- *Versions that a deployment needs* are pinned in rows of the prediction role for as long as it needs them.
- *A key that several rows point at* is held by any of them.
- What is free stays free: no row's `deleted_at` is ever cleared, and no key is ever written twice. So holdings that
  wait in the queue for days never free too much; they only miss what was freed since.

What can happen: somebody retries by hand a job that ended before the grace, or names an upload that old, and its
bytes are deleted meanwhile. Such a job fails and says that its object is gone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.reads import kept
from shared import clock, database, roles
from shared.batches import batched
from shared.catalog import kept_tables
from shared.jobs import tables
from shared.jobs.states import State

Line = dict[str, Any]
"""A line of the file: `{"job": …}`, `{"key": …, "sha256": …, "bytes": …, "of": …}`, or what only one kind needs."""

_LIVE = (State.QUEUED, State.RUNNING)
_BATCH_SIZE = 500


def collect(databases: database.Databases, *, tenant_id: str, grace_ms: int) -> Iterator[Line]:
    """Yield every live job, and every key that a live job or a row points at; raises UnavailableError.

    A row that was deleted less than `grace_ms` ago still holds its object.
    """
    for role in roles.ROLES:
        with database.available(role), databases[role].statements.connect() as connection:
            yield from _collect_from_jobs(connection, tenant_id=tenant_id)
    for role in roles.ROLES:
        with database.available(role), databases[role].statements.connect() as connection:
            for table in kept.pointing_tables(role):
                yield from _collect_from_rows(connection, table, tenant_id=tenant_id, grace_ms=grace_ms)
            for table in kept.pinning_tables(role):
                yield from _collect_from_pins(connection, table, tenant_id=tenant_id)


def list_pinned_keys(databases: database.Databases, *, tenant_id: str) -> Iterator[str]:
    """Yield the keys that live jobs have pinned, and those that rows of versions have pinned."""
    for line in collect(databases, tenant_id=tenant_id, grace_ms=0):
        if line.get("pinned"):
            yield line["key"]


def _collect_from_jobs(connection: sa.Connection, *, tenant_id: str) -> Iterator[Line]:
    jobs = tables.jobs
    rows = connection.execute(
        sa.select(jobs.c.id, jobs.c.pinned, jobs.c.retry_of).where(
            jobs.c.tenant_id == tenant_id,
            jobs.c.state.in_(_LIVE),
        )
    ).all()
    for row in rows:
        yield {"job": row.id}
        yield from ({**pin, "of": f"job {row.id}", "pinned": True} for pin in find_pins(row.pinned))
    # A parent reads what its children have made, and what those of the jobs that it is a retry of have made.
    parents = {row.id for row in rows}
    parents |= _list_retried(connection, {row.retry_of for row in rows}, tenant_id=tenant_id)
    for batch in batched(sorted(parents), size=_BATCH_SIZE):
        children = connection.execute(
            sa.select(jobs.c.id).where(
                jobs.c.tenant_id == tenant_id,
                jobs.c.parent_id.in_(batch),
            )
        )
        yield from ({"job": child.id} for child in children)


def _list_retried(connection: sa.Connection, job_ids: set[str | None], *, tenant_id: str) -> set[str]:
    """List jobs, the jobs that they are retries of, and so on back to the first."""
    jobs = tables.jobs
    retried: set[str] = set()
    while latest := [job_id for job_id in job_ids if job_id and job_id not in retried]:
        retried.update(latest)
        job_ids = set()
        for batch in batched(latest, size=_BATCH_SIZE):
            query = sa.select(jobs.c.retry_of).where(
                jobs.c.tenant_id == tenant_id,
                jobs.c.id.in_(batch),
            )
            job_ids.update(connection.execute(query).scalars())
    return retried


def _collect_from_rows(connection: sa.Connection, table: sa.Table, *, tenant_id: str, grace_ms: int) -> Iterator[Line]:
    kept_type = kept_tables.BY_TABLE.get(table.name)
    pin_column = kept_type.holds if kept_type else None
    query = sa.select(*_list_columns(table, pin_column)).where(
        table.c.tenant_id == tenant_id,
    )
    if "deleted_at" in table.c:
        free_before = clock.now_ms() - grace_ms
        query = query.where(
            sa.or_(table.c.deleted_at.is_(None), table.c.deleted_at > free_before),
        )
    for row in connection.execute(query):
        holder = f"{kept.type_of(table)} {_label(row)}"
        yield {"key": row.key, "sha256": row.sha256, "bytes": row.bytes, "of": holder}
        if pin_column:
            yield from ({**pin, "of": holder, "pinned": True} for pin in find_pins(getattr(row, pin_column)))


def _collect_from_pins(connection: sa.Connection, table: sa.Table, *, tenant_id: str) -> Iterator[Line]:
    for row in connection.execute(sa.select(table).where(table.c.tenant_id == tenant_id)):
        key = [str(getattr(row, column.name)) for column in table.primary_key]
        holder = " ".join([table.name.removesuffix("s"), *key])
        yield from ({**pin, "of": holder, "pinned": True} for pin in find_pins(row.pin))


def _list_columns(table: sa.Table, pin_column: str | None) -> list[sa.Column[Any]]:
    names = ("key", "sha256", "bytes", "name", "version", "id", pin_column)
    return [table.c[name] for name in names if name is not None and name in table.c]


def _label(row: sa.Row[Any]) -> str:
    return f"{row.name}@{row.version}" if hasattr(row, "name") else str(row.id)


def find_pins(document: Any) -> Iterator[Line]:
    """Yield the pins in a document, at any depth: every object that has a key and a SHA-256."""
    if isinstance(document, Mapping):
        if isinstance(document.get("key"), str) and isinstance(document.get("sha256"), str):
            yield {name: document.get(name) for name in ("key", "sha256", "bytes")}
        document = list(document.values())
    if isinstance(document, Sequence) and not isinstance(document, str):
        for value in document:
            yield from find_pins(value)
