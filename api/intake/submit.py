"""Accepts jobs: pins their references, inserts their rows, commits, and then rings their doorbells."""

import collections
import contextlib
import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import prometheus_client
import structlog

from api.intake import batch, cancelling, committer, dataset_names, idempotency, pins
from api.intake.backlog import Backlog
from api.intake.duties import Duties
from api.intake.orders import Acceptance, Accepted, Client, Order, check_priority, within
from api.intake.quota import Quota
from shared import budget, contract, database, errors, fingerprints, ids, kinds, roles, settings
from shared.catalog import stored_bytes
from shared.jobs import ledger, references, views
from shared.jobs.states import RETRIABLE
from shared.objects import store
from shared.queues.ringer import Ringer

_log = structlog.get_logger()

NOTHING: Mapping[str, Any] = types.MappingProxyType({})
_CHECK_SECONDS = 1.0
"""Processor time for the checks of a request's jobs against what is pinned; what is left over, workers check."""
_PIN_SECONDS = 5.0
"""Processor time for looking up and checking what all jobs of a request need."""

ACCEPTED = prometheus_client.Counter("millrace_jobs_accepted_total", "Jobs that were accepted.", ["kind"])


class Submitter:
    """Turns orders into committed jobs, which can't be lost, and rings their doorbells."""

    def __init__(
        self,
        config: settings.Settings,
        *,
        databases: database.Databases,
        objects: store.Store,
        pinner: pins.Pinner,
        ringer: Ringer,
        duties_of: Callable[[str], Duties],
        quota: Quota,
    ) -> None:
        """Submit to all roles; `duties_of` looks up what only one kind of job needs."""
        self._config = config
        self._databases = databases
        self._objects = objects
        self._pinner = pinner
        self._ringer = ringer
        self._duties_of = duties_of
        self._quota = quota
        self._backlog = Backlog(
            databases,
            max_queued=config.max_queued,
            max_queued_per_tenant=config.max_queued_per_tenant,
            processes=config.api_processes,
        )
        self._committers = {
            role: committer.Committer(
                role,
                databases=databases,
                ringer=ringer,
                ring_soon_seconds=config.ring_soon_seconds,
                # Those of the present leader, and those of the next, who commits for this one.
                wait_seconds=2 * config.statement_seconds,
            )
            for role in roles.ROLES
        }

    def submit(self, order: Order, *, client: Client, key: str | None = None) -> Accepted:
        """Accept one job: when this returns, it is committed and will reach an end."""
        role = order.kind.role
        with self._backlog.room(role, client.tenant_id):
            [job] = self._make_jobs([order], client=client, keys=[key])
            with database.available(role):
                created_at_by_id = self._committers[role].accept([job])
        if job.id not in created_at_by_id:
            with database.available(role):
                return idempotency.replay(self._databases, [job], tenant_id=client.tenant_id)[0]
        _record([job])
        self._run_after_duty(order, job)
        return _accepted(job, created_at_by_id[job.id])

    def submit_all(self, orders: Sequence[Order], *, client: Client, key: str | None = None) -> list[Accepted]:
        """Accept many jobs, all or none."""
        counts = collections.Counter(order.kind.role for order in orders)
        with contextlib.ExitStack() as stack:
            for role, count in counts.items():
                stack.enter_context(self._backlog.room(role, client.tenant_id, jobs=count))
            jobs, created_at_by_id = self._make_and_accept(orders, client=client, key=key)
        inserted = [job for job in jobs if job.id in created_at_by_id]
        _record(inserted)
        for order, job in zip(orders, jobs, strict=True):
            if job.id in created_at_by_id:
                self._run_after_duty(order, job)
        if len(inserted) == len(jobs):
            return [_accepted(job, created_at_by_id[job.id]) for job in jobs]
        return idempotency.replay(self._databases, jobs, tenant_id=client.tenant_id)

    def _make_and_accept(
        self, orders: Sequence[Order], *, client: Client, key: str | None
    ) -> tuple[list[ledger.NewJob], dict[str, int]]:
        """Make the jobs of a batch, and insert them; returns `created_at` by id of those that were inserted."""
        if key is None:
            jobs = self._make_jobs(orders, client=client, keys=[None] * len(orders))
        else:
            digest = fingerprints.compute({"jobs": [order.fingerprint for order in orders]})
            jobs = self._make_jobs(
                [dataclasses.replace(order, request_digest=digest) for order in orders],
                client=client,
                keys=[_batch_key(key, index) for index in range(len(orders))],
            )
        by_role: dict[str, list[ledger.NewJob]] = {}
        for order, job in zip(orders, jobs, strict=True):
            by_role.setdefault(order.kind.role, []).append(job)
        return jobs, self._accept_all(by_role)

    def _accept_all(self, by_role: dict[str, list[ledger.NewJob]]) -> dict[str, int]:
        ((role, jobs), *others) = by_role.items()
        if not others and jobs[0].idempotency_key is None:
            with database.available(role):
                return self._committers[role].accept(jobs)
        created_at_by_id = batch.accept(self._databases, by_role, ring_soon_seconds=self._config.ring_soon_seconds)
        for jobs in by_role.values():
            self._ringer.ring(committer.make_doorbells([job for job in jobs if job.id in created_at_by_id]))
        return created_at_by_id

    def retry(
        self, job_id: str, *, client: Client, key: str | None = None, options: Mapping[str, Any] = NOTHING
    ) -> Accepted | None:
        """Submit an ended job again, with the same pins, as a new job; None when there is no such job.

        `options` are its priority, deadline and tags where they are not to be those of the old one.

        See docs/decisions/jobs.md, "A retry by hand is a new job".
        """
        role = ids.role_of(job_id) or ""
        with database.available(role):
            with self._databases[role].statements.connect() as connection:
                old = views.read_all_columns(connection, job_id, tenant_id=client.tenant_id)
            if old is None:
                return None
            if old.state not in RETRIABLE:
                raise errors.ConflictError(
                    f"{job_id} is {old.state}; only a failed, cancelled or dead job can be retried."
                )
            check_priority(old.priority, client=client)
            kind = kinds.by_name().get(old.kind)
            quota = {} if kind is None else self._pin_quota(kind, client=client, key=key)
            # The old job's pin of the quota may be one of a limit that is no longer set.
            pinned = {name: pin for name, pin in old.pinned.items() if name != stored_bytes.PIN}
            self._reserve(dataset_names.of_job(old.kind, old.params), role=role, client=client)
            same = {
                "tags": tuple(old.tags),
                "priority": old.priority,
                "deadline_seconds": (old.deadline_at - old.created_at) // 1000 if old.deadline_at else None,
            }
            job = ledger.NewJob(
                id=ids.new_job_id(role),
                tenant_id=client.tenant_id,
                kind=old.kind,
                params=old.params,
                pinned=pinned | quota,
                submitted_by=client.key_id,
                tries_left=roles.ROLES[role].tries,
                idempotency_key=key,
                fingerprint=None if key is None else fingerprints.compute({"retry_of": job_id, **options}),
                retry_of=job_id,
                traceparent=client.traceparent,
                correlation_id=client.correlation_id or old.correlation_id or job_id,
                makes=_made_by(dataset_names.command_of(old.kind, old.params)),
                **same | dict(options),
            )
            with self._backlog.room(role, client.tenant_id):
                created_at_by_id = self._committers[role].accept([job])
            if job.id not in created_at_by_id:
                return idempotency.replay(self._databases, [job], tenant_id=client.tenant_id)[0]
        _record([job])
        return _accepted(job, created_at_by_id[job.id])

    def is_repeated(self, kind_names: Sequence[str], *, client: Client, key: str | None) -> bool:
        """Return whether a job of one of these kinds was accepted under a key, alone or as the first of a batch."""
        return key is not None and any(
            idempotency.is_known(self._databases, kinds.by_name()[name], one, tenant_id=client.tenant_id)
            for name in kind_names
            for one in (key, _batch_key(key, 0))
        )

    def _pin_quota(self, kind: contract.Kind, *, client: Client, key: str | None) -> dict[str, Any]:
        try:
            return self._quota.pin(kind, tenant_id=client.tenant_id)
        except errors.QuotaExceededError:
            # A repeated request gets the job that it created, which may be what has used the quota up.
            if key is not None and idempotency.is_known(self._databases, kind, key, tenant_id=client.tenant_id):
                return {}
            raise

    def _make_jobs(self, orders: Sequence[Order], *, client: Client, keys: Sequence[str | None]) -> list[ledger.NewJob]:
        """Pin and check what orders need; raises TooLargeError when that takes too long for all of them."""
        checks = budget.Budget(_CHECK_SECONDS)
        return [
            self._make_job(order, client=client, key=key, checks=checks)
            for order, key in within(_PIN_SECONDS, list(zip(orders, keys, strict=True)))
        ]

    def _make_job(self, order: Order, *, client: Client, key: str | None, checks: budget.Budget) -> ledger.NewJob:
        check_priority(order.priority, client=client, pointer=f"{order.pointer.removesuffix('/params')}/priority")
        quota = self._pin_quota(order.kind, client=client, key=key)
        pinned = self._pinner.pin(order.command, tenant_id=client.tenant_id, pointer=order.pointer, pinned=order.pinned)
        if order.pinned is None:
            acceptance = self._acceptance(order, pinned, tenant_id=client.tenant_id)
            pinned = pinned | self._duties_of(order.kind.name).pin(acceptance)
        with checks.spend():
            self._check_pinned(order, pinned, client=client, key=key)
        self._reserve(order.command.datasets, role=order.kind.role, client=client)
        return ledger.NewJob(
            id=ids.new_job_id(order.kind.role),
            tenant_id=client.tenant_id,
            kind=order.kind.name,
            params=order.command.model_dump(mode="json"),
            pinned=pinned | quota,
            submitted_by=client.key_id,
            tries_left=roles.ROLES[order.kind.role].tries,
            tags=order.tags,
            priority=order.priority,
            deadline_seconds=order.deadline_seconds,
            idempotency_key=key,
            fingerprint=order.fingerprint if key is not None else None,
            traceparent=client.traceparent,
            correlation_id=client.correlation_id,
            makes=_made_by(order.command),
        )

    def _check_pinned(self, order: Order, pinned: Mapping[str, Any], *, client: Client, key: str | None) -> None:
        """Raise InvalidRequestError, which points into the request, when the pins rule out that the command can work.

        See docs/decisions/accepting.md, "The API refuses what pinned names and types rule out, and leaves the rest to
        the worker".
        """
        try:
            order.command.check(pinned)
        except errors.PermanentError as error:
            # A repeated request gets the job that it created, whatever `latest` stands for by now.
            if key is not None and idempotency.is_known(self._databases, order.kind, key, tenant_id=client.tenant_id):
                return
            pointer = f"{order.pointer}{(error.pointer or '').removeprefix('#/params')}"
            raise errors.InvalidRequestError(
                f"1 field of the request is invalid: {pointer}: {error.message}",
                problems=[errors.Problem(error.message, pointer)],
            ) from error

    def _reserve(self, names: Sequence[str], *, role: str, client: Client) -> None:
        dataset_names.reserve(names, role=role, tenant_id=client.tenant_id, databases=self._databases)

    def _run_after_duty(self, order: Order, job: ledger.NewJob) -> None:
        """Do what the kind's duties require after the acceptance; the job is cancelled when a database is down."""
        try:
            self._duties_of(order.kind.name).after(self._acceptance(order, job.pinned, tenant_id=job.tenant_id))
        except errors.UnavailableError:
            cancelling.cancel(self._databases, job.id, tenant_id=job.tenant_id)
            raise

    def _acceptance(self, order: Order, pinned: Mapping[str, Any], *, tenant_id: str) -> Acceptance:
        return Acceptance(
            command=order.command,
            pinned=pinned,
            tenant_id=tenant_id,
            databases=self._databases,
            store=self._objects,
            pointer=order.pointer,
        )


def _batch_key(key: str, index: int) -> str:
    # A client's key can't contain a newline, so the key of a single job never equals one of a batch.
    return f"{key}\n{index}"


def _made_by(command: contract.Command | None) -> dict[str, tuple[str, ...]]:
    """List what a command may make a version of, by type."""
    return {} if command is None else {references.DATASET: command.datasets, references.MODEL: command.models}


def _record(jobs: Sequence[ledger.NewJob]) -> None:
    """Count and log accepted jobs."""
    for job in jobs:
        # A job that is retried may be of a kind whose plugin is no longer installed; labels are of a closed set.
        ACCEPTED.labels(job.kind if job.kind in kinds.by_name() else "other").inc()
        _log.info("job_accepted", job_id=job.id, kind=job.kind, tenant=job.tenant_id)


def _accepted(job: ledger.NewJob, created_at: int) -> Accepted:
    return Accepted(views.new_job_to_document(job, created_at=created_at), version=1, is_new=True)
