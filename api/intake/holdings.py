"""What rows and live jobs point at in the object store: read by the API, and handed to a job as a file.

No worker reads another role's database, and what may be deleted from the store depends on all of them. So the API,
which may read all, writes the holdings when it accepts a job of the storage role, and pins the file like an upload.
One role's database that can't be reached makes it answer 503: what is not known to be free is not free.

Why an object that somebody needs is never deleted, whatever happens while the holdings are read or wait in a queue:

- *A running job's outputs.* Their keys carry the job's id, and objects of a job that was live when the holdings were
  taken stay. Live jobs are read before rows. A job that was not live had ended before, for good, and its rows were
  committed with its end: they are there when the rows are read, later. A child's objects stay while its parent lives.
- *A later job's outputs and uploads* are younger than the holdings. Only objects older than the holdings, less the
  grace, are deleted; both ages are by the store's own clock, because the holdings are an object too.
- *A live job's pins* are held like rows.
- *Pins of a job that is accepted later.* It can pin only what had no `deleted_at` when it was looked up. Such a row
  held its object when the holdings were taken; or its deletion is younger than the grace, and it holds it still.
  The grace (an hour at least) is far more than the moment between a pin and its job's row.
- *A key that several rows point at* is held by any of them.
- What was let go can't come back: no row's `deleted_at` is ever taken away, and no key is ever written twice. So
  holdings that wait in the queue for days free nothing wrong; they only miss what was freed since.

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
"""One line: `{"job": …}`, `{"key": …, "sha256": …, "bytes": …, "of": …}`, or what its reader else needs."""

_LIVE = (State.QUEUED, State.RUNNING)
_MOST_AT_ONCE = 500


def take(databases: database.Databases, *, tenant_id: str, grace_ms: int) -> Iterator[Line]:
    """Give every live job, and every key that such a job or a row points at; raises UnavailableError.

    A row whose thing was deleted less than `grace_ms` ago still holds its object.
    """
    for role in roles.ROLES:
        with database.available(role), databases[role].statements.connect() as connection:
            yield from _jobs(connection, tenant_id=tenant_id)
    for role in roles.ROLES:
        with database.available(role), databases[role].statements.connect() as connection:
            for table in kept.pointing_tables(role):
                yield from _rows(connection, table, tenant_id=tenant_id, grace_ms=grace_ms)


def pinned(databases: database.Databases, *, tenant_id: str) -> Iterator[str]:
    """Give the keys that live jobs have pinned, and that other things' rows need."""
    for line in take(databases, tenant_id=tenant_id, grace_ms=0):
        if line.get("pinned"):
            yield line["key"]


def _jobs(connection: sa.Connection, *, tenant_id: str) -> Iterator[Line]:
    jobs = tables.jobs
    rows = connection.execute(
        sa.select(jobs.c.id, jobs.c.pinned, jobs.c.retry_of).where(
            jobs.c.tenant_id == tenant_id,
            jobs.c.state.in_(_LIVE),
        )
    ).all()
    for row in rows:
        yield {"job": row.id}
        yield from ({**pin, "of": f"job {row.id}", "pinned": True} for pin in pins_in(row.pinned))
    # A parent reads what its children have made, also those of the jobs that it is a retry of.
    parents = {row.id for row in rows}
    parents |= _retried(connection, {row.retry_of for row in rows}, tenant_id=tenant_id)
    for some in batched(sorted(parents), size=_MOST_AT_ONCE):
        children = connection.execute(
            sa.select(jobs.c.id).where(
                jobs.c.tenant_id == tenant_id,
                jobs.c.parent_id.in_(some),
            )
        )
        yield from ({"job": child.id} for child in children)


def _retried(connection: sa.Connection, job_ids: set[str | None], *, tenant_id: str) -> set[str]:
    """Give jobs, those that they are retries of, and so on back to the first."""
    jobs = tables.jobs
    found: set[str] = set()
    while latest := [job_id for job_id in job_ids if job_id and job_id not in found]:
        found.update(latest)
        job_ids = set()
        for some in batched(latest, size=_MOST_AT_ONCE):
            before = sa.select(jobs.c.retry_of).where(
                jobs.c.tenant_id == tenant_id,
                jobs.c.id.in_(some),
            )
            job_ids.update(connection.execute(before).scalars())
    return found


def _rows(connection: sa.Connection, table: sa.Table, *, tenant_id: str, grace_ms: int) -> Iterator[Line]:
    thing = kept_tables.BY_TABLE.get(table.name)
    pointing = thing.holds if thing else None
    query = sa.select(*_shown(table, pointing)).where(
        table.c.tenant_id == tenant_id,
    )
    if "deleted_at" in table.c:
        let_go = clock.now_ms() - grace_ms
        query = query.where(
            sa.or_(table.c.deleted_at.is_(None), table.c.deleted_at > let_go),
        )
    for row in connection.execute(query):
        of = f"{kept.type_of(table)} {_label(row)}"
        yield {"key": row.key, "sha256": row.sha256, "bytes": row.bytes, "of": of}
        if pointing:
            yield from ({**pin, "of": of, "pinned": True} for pin in pins_in(getattr(row, pointing)))


def _shown(table: sa.Table, pointing: str | None) -> list[sa.Column[Any]]:
    names = ("key", "sha256", "bytes", "name", "version", "id", pointing)
    return [table.c[name] for name in names if name is not None and name in table.c]


def _label(row: sa.Row[Any]) -> str:
    return f"{row.name}@{row.version}" if hasattr(row, "name") else str(row.id)


def pins_in(document: Any) -> Iterator[Line]:
    """Give the pins in a document, however deep: whatever has a key and a SHA-256."""
    if isinstance(document, Mapping):
        if isinstance(document.get("key"), str) and isinstance(document.get("sha256"), str):
            yield {name: document.get(name) for name in ("key", "sha256", "bytes")}
        document = list(document.values())
    if isinstance(document, Sequence) and not isinstance(document, str):
        for part in document:
            yield from pins_in(part)
