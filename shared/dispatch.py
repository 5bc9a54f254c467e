"""The door's side of a job: pin, record, commit, ring."""

import contextlib
import dataclasses
import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import prometheus_client
import sqlalchemy as sa
import structlog

from shared import (
    contract,
    database,
    dataset_names,
    errors,
    ids,
    job_views,
    ledger,
    offspring,
    pins,
    retention,
    ringer,
    roles,
    settings,
    tables,
)
from shared.jobs import RETRIABLE

_log = structlog.get_logger()
_BACKLOG_SECONDS = 1.0
_JOBS_A_BELL = 8

ACCEPTED = prometheus_client.Counter("millrace_jobs_accepted_total", "Jobs that were accepted.", ["kind"])
GATHERED = prometheus_client.Histogram(
    "millrace_accept_batch_jobs", "Jobs that one transaction accepted.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 1024)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """What a client asks for: a command of a kind, and how it wants it done."""

    kind: contract.Kind
    command: contract.Command
    priority: int = 0
    deadline_seconds: int | None = None
    tags: tuple[str, ...] = ()
    where: str = "#/params"
    """Where the command stands in the request's body, for what is said of its references."""
    pinned: dict[str, Any] | None = None
    """Pins that the caller knows already; else the references are looked up."""
    fingerprint: str | None = None
    """What says that two requests ask for the same; else it is made of the order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Client:
    """Who asks."""

    tenant_id: str
    key_id: str
    traceparent: str | None = None


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A job as the client sees it, and whether this very request made it."""

    document: dict[str, Any]
    version: int
    is_new: bool


class _Entry:
    """One request's jobs on their way into the next shared transaction."""

    def __init__(self, new: Sequence[ledger.NewJob]) -> None:
        self.new = new
        self.accepted: dict[str, int] = {}
        self.error: Exception | None = None
        self.done = False
        self._turn = threading.Lock()
        self._turn.acquire()

    def wait(self) -> None:
        """Wait until another request has committed these jobs, or makes this one the next to commit."""
        self._turn.acquire()

    def wake(self) -> None:
        """End the wait."""
        self._turn.release()


class Committer:
    """Lets requests that are under way at once share a transaction: the commit is what costs.

    The first to come commits for all that came by then; those that come meanwhile wait for the next
    turn, and the first of them commits for all of these. Each waits for a lock of its own: with one for all, those
    whose jobs are committed would stand in the way of the one that is to commit next.
    """

    def __init__(
        self, role: str, *, databases: database.Databases, bell: ringer.Ringer, ring_soon_seconds: float
    ) -> None:
        """Gather for one role's database, and ring when it has committed."""
        self._bell = bell
        self._role = role
        self._databases = databases
        self._ring_soon_seconds = ring_soon_seconds
        self._waiting: list[_Entry] = []
        self._is_led = False
        self._mutex = threading.Lock()

    def accept(self, new: Sequence[ledger.NewJob]) -> dict[str, int]:
        """Insert jobs durably; gives `created_at` by id of those inserted."""
        entry = _Entry(new)
        with self._mutex:
            self._waiting.append(entry)
            must_wait, self._is_led = self._is_led, True
        if must_wait:
            entry.wait()
        if not entry.done:
            self._lead(entry)
        if entry.error is not None:
            raise entry.error
        return entry.accepted

    def _lead(self, leader: _Entry) -> None:
        """Commit for all who wait, let the next one lead, and then let those go whose jobs are committed."""
        with self._mutex:
            entries, self._waiting = self._waiting, []
        try:
            self._commit(entries)
        finally:
            _give_up(entry for entry in entries if not entry.done)
            with self._mutex:
                successor = self._waiting[0] if self._waiting else None
                self._is_led = successor is not None
            for entry in (successor, *entries):
                if entry is not None and entry is not leader:
                    entry.wake()

    def _commit(self, entries: list[_Entry]) -> None:
        try:
            self._insert(entries)
        except Exception as fault:  # noqa: BLE001 - each request gets its own answer, whatever went wrong.
            if len(entries) > 1 and not isinstance(fault, database.FAULTS):
                # One bad row must not spoil its neighbours.
                for entry in entries:
                    self._commit([entry])
                return
            for entry in entries:
                entry.error = fault
        for entry in entries:
            entry.done = True

    def _insert(self, entries: list[_Entry]) -> None:
        new = [job for entry in entries for job in entry.new]
        engines = self._databases[self._role]
        # One statement commits by itself, which saves two ways to the database.
        alone = engines.transactions if any(job.tags for job in new) else engines.statements
        with alone.begin() as connection:
            accepted = ledger.accept(connection, new, ring_again_seconds=self._ring_soon_seconds)
        GATHERED.observe(len(new))
        self._bell.ring(_bells([job for job in new if job.id in accepted]))
        for entry in entries:
            entry.accepted = {job.id: accepted[job.id] for job in entry.new if job.id in accepted}


def _give_up(entries: Iterable[_Entry]) -> None:
    """Answer requests whose leader was ended on its way: else they would take their jobs for repeated ones."""
    for entry in entries:
        entry.error = errors.UnavailableError(
            "The commit was broken off, and may have come through or not; ask again, best with an Idempotency-Key.",
            retry_after_seconds=1,
        )
        entry.done = True


class Dispatcher:
    """Turns orders into jobs that can't be lost, and rings for them."""

    def __init__(
        self,
        config: settings.Settings,
        *,
        databases: database.Databases,
        pinner: pins.Pinner,
        bell: ringer.Ringer,
    ) -> None:
        """Dispatch to all roles."""
        self._config = config
        self._databases = databases
        self._pinner = pinner
        self._bell = bell
        self._committers = {
            role: Committer(role, databases=databases, bell=bell, ring_soon_seconds=config.ring_soon_seconds)
            for role in roles.ROLES
        }
        self._backlogs: dict[str, tuple[float, int]] = {}

    def submit(self, order: Order, *, client: Client, key: str | None = None) -> Accepted:
        """Accept one job: when this returns, it is committed and will reach an end."""
        self._check_room(order.kind.role)
        new = self._new_job(order, client=client, key=key)
        with database.available(order.kind.role):
            accepted = self._committers[order.kind.role].accept([new])
            if new.id not in accepted:
                return self._replay([new], client=client)[0]
        self._announce([new])
        self._act(order, new, client=client)
        return _fresh(new, accepted[new.id])

    def submit_all(self, orders: Sequence[Order], *, client: Client, key: str | None = None) -> list[Accepted]:
        """Accept many jobs, all or none."""
        if key is None:
            new = [self._new_job(order, client=client, key=None) for order in orders]
        else:
            asked = digest({"jobs": [fingerprint(order) for order in orders]})
            # No key that a client gives has this character, so no single job's key is one of a batch's.
            new = [
                self._new_job(dataclasses.replace(order, fingerprint=asked), client=client, key=f"{key}\n{index}")
                for index, order in enumerate(orders)
            ]
        by_role: dict[str, list[ledger.NewJob]] = {}
        for job in new:
            by_role.setdefault(ids.role_of(job.id) or "", []).append(job)
        for role in by_role:
            self._check_room(role)
        accepted = self._accept_all(by_role)
        fresh = [job for job in new if job.id in accepted]
        self._announce(fresh)
        for order, job in zip(orders, new, strict=True):
            if job.id in accepted:
                self._act(order, job, client=client)
        if len(fresh) == len(new):
            return [_fresh(job, accepted[job.id]) for job in new]
        return self._replay(new, client=client)

    def _accept_all(self, by_role: dict[str, list[ledger.NewJob]]) -> dict[str, int]:
        ((role, jobs), *others) = by_role.items()
        if not others and jobs[0].idempotency_key is None:
            with database.available(role):
                return self._committers[role].accept(jobs)
        return self._accept_in_many(by_role)

    def _accept_in_many(self, by_role: dict[str, list[ledger.NewJob]]) -> dict[str, int]:
        """Insert into several databases, none of which commits before all have taken their rows.

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
                    connection = stack.enter_context(self._databases[role].transactions.connect())
                    connection.begin()
                    accepted |= ledger.accept(connection, jobs, ring_again_seconds=self._config.ring_soon_seconds)
                    _find_same(connection, [job for job in jobs if job.id not in accepted])
                    open_[role] = connection
            for role, connection in open_.items():
                try:
                    with database.available(role):
                        connection.commit()
                    committed.append(role)
                except Exception:
                    # Else the pool would get the connection back with a transaction that SQLite has still open.
                    connection.rollback()
                    self._take_back({done: by_role[done] for done in committed}, accepted=accepted)
                    raise
        for jobs in by_role.values():
            self._bell.ring(_bells([job for job in jobs if job.id in accepted]))
        return accepted

    def _take_back(self, by_role: dict[str, list[ledger.NewJob]], *, accepted: dict[str, int]) -> None:
        """Remove jobs whose ids nobody has seen, and with them their keys, so that the client may ask again."""
        for role, jobs in by_role.items():
            taken = [job.id for job in jobs if job.id in accepted]
            with self._databases[role].transactions.begin() as connection:
                connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.id.in_(taken)))
                connection.execute(sa.delete(tables.job_tags).where(tables.job_tags.c.job_id.in_(taken)))

    def retry(self, job_id: str, *, client: Client, key: str | None = None) -> Accepted | None:
        """Submit an ended job again, with the same pins, as a new job; None when there is no such job."""
        role = ids.role_of(job_id) or ""
        with database.available(role):
            with self._databases[role].statements.connect() as connection:
                old = job_views.whole(connection, job_id, tenant_id=client.tenant_id)
            if old is None:
                return None
            if old.state not in RETRIABLE:
                raise errors.ConflictError(
                    f"{job_id} is {old.state}; only a job that failed, was cancelled or is dead can be retried."
                )
            self._reserve(dataset_names.of_job(old.kind, old.params), role=role, client=client)
            new = ledger.NewJob(
                id=ids.new_job_id(role),
                tenant_id=client.tenant_id,
                kind=old.kind,
                params=old.params,
                pinned=old.pinned,
                submitted_by=client.key_id,
                tries_left=roles.ROLES[role].tries,
                tags=tuple(old.tags),
                priority=old.priority,
                deadline_seconds=(old.deadline_at - old.created_at) // 1000 if old.deadline_at else None,
                idempotency_key=key,
                fingerprint=None if key is None else digest({"retry_of": job_id}),
                retry_of=job_id,
                traceparent=client.traceparent,
            )
            accepted = self._committers[role].accept([new])
            if new.id not in accepted:
                return self._replay([new], client=client)[0]
        self._announce([new])
        return _fresh(new, accepted[new.id])

    def cancel(self, job_id: str, *, client: Client) -> ledger.Swept | None:
        """Cancel a job; None when it has ended or isn't there."""
        role = ids.role_of(job_id) or ""
        with database.available(role), self._databases[role].statements.begin() as connection:
            moved = ledger.cancel(connection, job_id, tenant_id=client.tenant_id)
        if moved is not None:
            with database.available(role), self._databases[role].transactions.begin() as connection:
                # In a transaction of its own: a child that ends locks its own row first and its parent's then.
                offspring.cancel_of(connection, job_id)
                offspring.wake_for(connection, [moved])
            _log.info("job_cancel_asked", job_id=job_id, role=role, state=moved.state)
        return moved

    def _new_job(self, order: Order, *, client: Client, key: str | None) -> ledger.NewJob:
        params = order.command.model_dump(mode="json")
        pinned = order.pinned
        if pinned is None:
            pinned = self._pinner.pin(order.command, tenant_id=client.tenant_id, where=order.where)
        self._check_pinned(order, pinned, client=client, key=key)
        self._reserve(order.command.datasets, role=order.kind.role, client=client)
        return ledger.NewJob(
            id=ids.new_job_id(order.kind.role),
            tenant_id=client.tenant_id,
            kind=order.kind.name,
            params=params,
            pinned=pinned,
            submitted_by=client.key_id,
            tries_left=roles.ROLES[order.kind.role].tries,
            tags=order.tags,
            priority=order.priority,
            deadline_seconds=order.deadline_seconds,
            idempotency_key=key,
            fingerprint=(order.fingerprint or fingerprint(order)) if key is not None else None,
            traceparent=client.traceparent,
        )

    def _check_pinned(self, order: Order, pinned: Mapping[str, Any], *, client: Client, key: str | None) -> None:
        """Raise InvalidRequestError, pointing into the request, when what is pinned can't do what is asked."""
        try:
            order.command.check(pinned)
        except errors.PermanentError as misfit:
            # A request that is repeated gets the job that it made, whatever `latest` means by now.
            if key is not None and self._is_known(order.kind, key, client=client):
                return
            pointer = f"{order.where}{(misfit.pointer or '').removeprefix('#/params')}"
            raise errors.InvalidRequestError(
                f"1 field of the request is not as needed: {pointer}: {misfit.message}",
                problems=[errors.Problem(misfit.message, pointer)],
            ) from misfit

    def _is_known(self, kind: contract.Kind, key: str, *, client: Client) -> bool:
        with database.available(kind.role), self._databases[kind.role].statements.connect() as connection:
            return bool(job_views.by_key(connection, tenant_id=client.tenant_id, kind=kind.name, keys=[key]))

    def _reserve(self, names: Sequence[str], *, role: str, client: Client) -> None:
        dataset_names.reserve(names, role=role, tenant_id=client.tenant_id, databases=self._databases)

    def _act(self, order: Order, new: ledger.NewJob, *, client: Client) -> None:
        """Do what only the door may do for a job, now that it is accepted; a job for which that fails is cancelled."""
        try:
            retention.act(order.command, databases=self._databases, tenant_id=client.tenant_id)
        except errors.UnavailableError:
            self.cancel(new.id, client=client)
            raise

    def _announce(self, new: Sequence[ledger.NewJob]) -> None:
        for job in new:
            ACCEPTED.labels(job.kind).inc()
            _log.info("job_accepted", job_id=job.id, kind=job.kind, tenant=job.tenant_id)

    def _replay(self, new: Sequence[ledger.NewJob], *, client: Client) -> list[Accepted]:
        """Give the jobs that earlier requests made under the same keys."""
        found: dict[tuple[str, str], job_views.Row] = {}
        for kind in {job.kind for job in new}:
            keys = [job.idempotency_key for job in new if job.kind == kind and job.idempotency_key]
            with self._databases[kind.partition(".")[0]].statements.connect() as connection:
                for row in job_views.by_key(connection, tenant_id=client.tenant_id, kind=kind, keys=keys):
                    found[kind, row.idempotency_key] = row
        replayed = []
        for job in new:
            row = found[job.kind, job.idempotency_key or ""]
            _check_same(row, job)
            replayed.append(Accepted(job_views.document(row), row.version, is_new=row.id == job.id))
        return replayed

    def _check_room(self, role: str) -> None:
        """Answer 429 rather than let a queue grow without end."""
        checked_at, queued = self._backlogs.get(role, (0.0, 0))
        if time.monotonic() - checked_at > _BACKLOG_SECONDS:
            with database.available(role), self._databases[role].statements.connect() as connection:
                queued = job_views.backlog(connection, most=self._config.max_queued).queued
            self._backlogs[role] = (time.monotonic(), queued)
        if queued >= self._config.max_queued:
            raise errors.TooManyRequestsError(
                f"{queued} jobs of {role} wait already, as many as the operator allows; try again later.",
                retry_after_seconds=10,
            )


def _find_same(connection: sa.Connection, taken: Sequence[ledger.NewJob]) -> None:
    """Raise IdempotencyMismatchError when a key that is taken was given with another request."""
    for kind in {job.kind for job in taken}:
        by_key = {job.idempotency_key: job for job in taken if job.kind == kind}
        keys = [key or "" for key in by_key]
        for row in job_views.by_key(connection, tenant_id=taken[0].tenant_id, kind=kind, keys=keys):
            _check_same(row, by_key[row.idempotency_key])


def _check_same(row: job_views.Row, job: ledger.NewJob) -> None:
    if row.fingerprint != job.fingerprint:
        raise errors.IdempotencyMismatchError(
            "This Idempotency-Key was given before with another request; give the same request again, or a new key."
        )


def _bells(new: Sequence[ledger.NewJob]) -> list[ledger.Doorbell]:
    """Give doorbells for some of the jobs that were accepted together.

    A worker that a bell has woken finds the others by itself, and the sweeper rings soon for what is left.
    """
    return [ledger.Doorbell(job.id, job.kind, job.priority, job.traceparent) for job in new[::_JOBS_A_BELL]]


def fingerprint(order: Order) -> str:
    """Hash what an order asks for, so that a repeated request can be told from another one."""
    asked = {
        "kind": order.kind.name,
        "params": order.command.model_dump(mode="json"),
        "priority": order.priority,
        "deadline_seconds": order.deadline_seconds,
        "tags": order.tags,
    }
    return digest(asked)


def digest(asked: dict[str, Any]) -> str:
    """Hash a document, whatever the order of its names."""
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _fresh(new: ledger.NewJob, created_at: int) -> Accepted:
    return Accepted(job_views.fresh_document(new, created_at=created_at), 1, is_new=True)
