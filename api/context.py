"""What the routes work with, created once per process, and who makes the current request."""

import dataclasses
from typing import cast

import flask

from api import probes, slots, waiting
from api.intake import duties, keys, pins
from api.intake.orders import Client
from api.intake.quota import Quota, Use
from api.intake.submit import Submitter
from api.reads import job_metrics, usage
from shared import database, settings
from shared.objects import opening, scratch, store
from shared.outbound import addresses
from shared.queues.ringer import Ringer


@dataclasses.dataclass(frozen=True)
class Context:
    """What the routes work with: databases, object store, ringer, keys, limits and temporary files."""

    config: settings.Settings
    databases: database.Databases
    objects: store.Store
    ringer: Ringer
    pinner: pins.Pinner
    submitter: Submitter
    keys: keys.Keys
    watcher: waiting.Watcher
    slots: slots.Slots
    quota: Quota
    probes: probes.Probes
    job_metrics: job_metrics.JobMetrics
    scratch: scratch.ProcessScratch
    webhook_hosts: addresses.Allowlist


def create(config: settings.Settings) -> Context:
    """Create what the routes work with; nothing connects before its first use."""
    databases = database.Databases(config)
    objects = opening.open_store(config)
    ringer = Ringer(config)
    pinner = pins.Pinner(databases, objects)
    quota = Quota(
        lambda tenant_id: _measure_use(databases, objects, tenant_id),
        limit_bytes=config.max_bytes_per_tenant or None,
    )
    return Context(
        config=config,
        databases=databases,
        objects=objects,
        ringer=ringer,
        pinner=pinner,
        submitter=Submitter(
            config,
            databases=databases,
            objects=objects,
            pinner=pinner,
            ringer=ringer,
            duties_of=duties.of,
            quota=quota,
        ),
        keys=keys.Keys(databases),
        watcher=waiting.Watcher(databases, max_waits=config.api_waits, max_waits_per_key=config.api_waits_per_key),
        slots=slots.Slots(max_per_key=config.api_threads // 4),
        quota=quota,
        probes=probes.Probes(databases, objects),
        job_metrics=job_metrics.JobMetrics(databases),
        scratch=scratch.ProcessScratch(config.home / "scratch"),
        webhook_hosts=addresses.Allowlist.parse(config.webhook_allow_hosts, setting="MILLRACE_WEBHOOK_ALLOW_HOSTS"),
    )


def _measure_use(databases: database.Databases, objects: store.Store, tenant_id: str) -> Use:
    measured = usage.measure(databases, objects, tenant_id)
    return Use(measured.document["stored_bytes"], measured.row_bytes)


def current() -> Context:
    """Look up the context of the application that serves this request."""
    return cast(Context, flask.current_app.extensions["millrace"])


def client() -> Client:
    """Look up who makes this request."""
    return cast(Client, flask.g.client)


def databases_and_tenant() -> tuple[database.Databases, str]:
    """Look up the first two arguments of every query in `api.reads`: the databases, and the tenant of the request."""
    return current().databases, client().tenant_id
