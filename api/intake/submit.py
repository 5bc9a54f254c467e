"""Accepting jobs: look up their references, insert their rows, commit, ring."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import prometheus_client
import structlog

from api.intake import batch, cancelling, committer, dataset_names, idempotency, pins
from api.intake.backlog import Backlog
from api.intake.duties import Duties
from api.intake.orders import Acceptance, Accepted, Client, Order
from shared import database, digests, errors, ids, roles, settings
from shared.jobs import ledger, views
from shared.jobs.states import RETRIABLE
from shared.objects import store
from shared.queues import ringer

_log = structlog.get_logger()

ACCEPTED = prometheus_client.Counter("millrace_jobs_accepted_total", "Jobs that were accepted.", ["kind"])


class Submitter:
    """Turns orders into jobs that can't be lost, and rings for them."""

    def __init__(
        self,
        config: settings.Settings,
        *,
        databases: database.Databases,
        objects: store.Store,
        bell: ringer.Ringer,
        duties_of: Callable[[str], Duties],
    ) -> None:
        """Submit to all roles; `duties_of` looks up what a kind of job needs beside what all do."""
        self._config = config
        self._databases = databases
        self._objects = objects
        self._pinner = pins.Pinner(databases, objects)
        self._bell = bell
        self._duties_of = duties_of
        self._backlog = Backlog(databases, most=config.max_queued)
        self._committers = {
            role: committer.Committer(role, databases=databases, bell=bell, ring_soon_seconds=config.ring_soon_seconds)
            for role in roles.ROLES
        }

    def submit(self, order: Order, *, client: Client, key: str | None = None) -> Accepted:
        """Accept one job: when this returns, it is committed and will reach an end."""
        self._backlog.check(order.kind.role)
        new = self._new_job(order, client=client, key=key)
        with database.available(order.kind.role):
            accepted = self._committers[order.kind.role].accept([new])
            if new.id not in accepted:
                return idempotency.replay(self._databases, [new], tenant_id=client.tenant_id)[0]
        _tell([new])
        self._follow(order, new)
        return _fresh(new, accepted[new.id])

    def submit_all(self, orders: Sequence[Order], *, client: Client, key: str | None = None) -> list[Accepted]:
        """Accept many jobs, all or none."""
        if key is None:
            new = [self._new_job(order, client=client, key=None) for order in orders]
        else:
            asked_for = digests.of_document({"jobs": [order.fingerprint for order in orders]})
            # No key that a client gives has this character, so no single job's key is one of a batch's.
            new = [
                self._new_job(dataclasses.replace(order, asked_for=asked_for), client=client, key=f"{key}\n{index}")
                for index, order in enumerate(orders)
            ]
        by_role: dict[str, list[ledger.NewJob]] = {}
        for order, job in zip(orders, new, strict=True):
            by_role.setdefault(order.kind.role, []).append(job)
        for role in by_role:
            self._backlog.check(role)
        accepted = self._accept_all(by_role)
        fresh = [job for job in new if job.id in accepted]
        _tell(fresh)
        for order, job in zip(orders, new, strict=True):
            if job.id in accepted:
                self._follow(order, job)
        if len(fresh) == len(new):
            return [_fresh(job, accepted[job.id]) for job in new]
        return idempotency.replay(self._databases, new, tenant_id=client.tenant_id)

    def _accept_all(self, by_role: dict[str, list[ledger.NewJob]]) -> dict[str, int]:
        ((role, jobs), *others) = by_role.items()
        if not others and jobs[0].idempotency_key is None:
            with database.available(role):
                return self._committers[role].accept(jobs)
        accepted = batch.accept(self._databases, by_role, ring_soon_seconds=self._config.ring_soon_seconds)
        for jobs in by_role.values():
            self._bell.ring(committer.bells_for([job for job in jobs if job.id in accepted]))
        return accepted

    def retry(self, job_id: str, *, client: Client, key: str | None = None) -> Accepted | None:
        """Submit an ended job again, with the same pins, as a new job; None when there is no such job."""
        role = ids.role_of(job_id) or ""
        with database.available(role):
            with self._databases[role].statements.connect() as connection:
                old = views.read_all_columns(connection, job_id, tenant_id=client.tenant_id)
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
                fingerprint=None if key is None else digests.of_document({"retry_of": job_id}),
                retry_of=job_id,
                traceparent=client.traceparent,
            )
            accepted = self._committers[role].accept([new])
            if new.id not in accepted:
                return idempotency.replay(self._databases, [new], tenant_id=client.tenant_id)[0]
        _tell([new])
        return _fresh(new, accepted[new.id])

    def _new_job(self, order: Order, *, client: Client, key: str | None) -> ledger.NewJob:
        pinned = order.pinned
        if pinned is None:
            pinned = self._pinner.pin(order.command, tenant_id=client.tenant_id, where=order.where)
            acceptance = self._acceptance(order, pinned, tenant_id=client.tenant_id)
            pinned = pinned | self._duties_of(order.kind.name).pin(acceptance)
        self._check_pinned(order, pinned, client=client, key=key)
        self._reserve(order.command.datasets, role=order.kind.role, client=client)
        return ledger.NewJob(
            id=ids.new_job_id(order.kind.role),
            tenant_id=client.tenant_id,
            kind=order.kind.name,
            params=order.command.model_dump(mode="json"),
            pinned=pinned,
            submitted_by=client.key_id,
            tries_left=roles.ROLES[order.kind.role].tries,
            tags=order.tags,
            priority=order.priority,
            deadline_seconds=order.deadline_seconds,
            idempotency_key=key,
            fingerprint=order.fingerprint if key is not None else None,
            traceparent=client.traceparent,
        )

    def _check_pinned(self, order: Order, pinned: Mapping[str, Any], *, client: Client, key: str | None) -> None:
        """Raise InvalidRequestError, pointing into the request, when what is pinned can't do what is asked."""
        try:
            order.command.check(pinned)
        except errors.PermanentError as misfit:
            # A request that is repeated gets the job that it made, whatever `latest` means by now.
            if key is not None and idempotency.is_known(self._databases, order.kind, key, tenant_id=client.tenant_id):
                return
            pointer = f"{order.where}{(misfit.pointer or '').removeprefix('#/params')}"
            raise errors.InvalidRequestError(
                f"1 field of the request is not as needed: {pointer}: {misfit.message}",
                problems=[errors.Problem(misfit.message, pointer)],
            ) from misfit

    def _reserve(self, names: Sequence[str], *, role: str, client: Client) -> None:
        dataset_names.reserve(names, role=role, tenant_id=client.tenant_id, databases=self._databases)

    def _follow(self, order: Order, new: ledger.NewJob) -> None:
        """Do what must follow the acceptance of such a job; a job for which that fails is cancelled."""
        try:
            self._duties_of(order.kind.name).after(self._acceptance(order, new.pinned, tenant_id=new.tenant_id))
        except errors.UnavailableError:
            cancelling.cancel(self._databases, new.id, tenant_id=new.tenant_id)
            raise

    def _acceptance(self, order: Order, pinned: Mapping[str, Any], *, tenant_id: str) -> Acceptance:
        return Acceptance(
            command=order.command,
            pinned=pinned,
            tenant_id=tenant_id,
            databases=self._databases,
            store=self._objects,
        )


def _tell(new: Sequence[ledger.NewJob]) -> None:
    for job in new:
        ACCEPTED.labels(job.kind).inc()
        _log.info("job_accepted", job_id=job.id, kind=job.kind, tenant=job.tenant_id)


def _fresh(new: ledger.NewJob, created_at: int) -> Accepted:
    return Accepted(views.new_job_to_document(new, created_at=created_at), 1, is_new=True)
