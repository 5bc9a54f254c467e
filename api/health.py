"""Liveness, readiness and metrics of the API.

When `/readyz` answers 503: docs/decisions/accepting.md, "`/readyz` stays 200 while one role's database is down".
"""

import concurrent.futures
import functools
import time
from collections.abc import Callable
from typing import Literal

import flask
import flask_openapi
import prometheus_client
import pydantic

from api import answers, auth, context, documents, probes
from api.reads import copies, services
from shared import faults, roles
from shared.queues import broker

blueprint = flask_openapi.APIBlueprint("health", __name__, abp_tags=[{"name": "health"}])
_PROBE_SECONDS = 5.0
"""How long all probes together may take; what has not answered by then is not ready."""
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ESSENTIAL = ("database.api", "storage")


class Liveness(documents.Document):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(documents.Document):
    """Whether jobs can be accepted, and what is down."""

    status: Literal["ready", "degraded", "unavailable"]
    not_ready: list[str] = pydantic.Field(
        description="What is down or can't be written: `database.<role>`, `broker`, `storage`; `consumer.<role>` when "
        "jobs of the role wait and nobody listens to its queue; `inference` when something is deployed and no "
        "inference server was heard of for 30 s."
    )
    reasons: dict[str, str] = pydantic.Field(
        description="What is wrong, by what is down: `is read-only at the moment`, `has no room left`, `can't be "
        "reached`, `no consumer` where jobs wait and nobody listens, `not heard of` where no inference server is "
        "known, or the class of another error."
    )


@blueprint.get("/healthz", responses={200: Liveness})
@auth.public
def live() -> flask.Response:
    """Report that the process is alive."""
    return answers.json({"status": "ok"})


@blueprint.get("/readyz", responses={200: Readiness, 503: Readiness})
@auth.public
def ready() -> flask.Response:
    """Report what is down; 503 only when no job at all could be accepted.

    While one role's database is down, jobs of the other roles are still accepted, so the API stays ready and
    a load balancer keeps it.
    """
    failures: dict[str, str] = flask.current_app.extensions["readiness"].get()
    down = [name for name in failures if name.startswith("database.") and name != "database.api"]
    is_ready = not any(name in failures for name in _ESSENTIAL) and len(down) < len(roles.ROLES)
    status = "ready" if not failures else "degraded" if is_ready else "unavailable"
    document = {"status": status, "not_ready": sorted(failures), "reasons": failures}
    return answers.json(document, status=200 if is_ready else 503)


@blueprint.get(
    "/metrics",
    responses={200: {"description": "Prometheus metrics", "content": _TEXT}},
    security=[{}, {"key": []}],
)
@auth.needs_from_elsewhere("read")
def metrics() -> flask.Response:
    """Export this process's metrics, and those of jobs, for Prometheus: to this host, and to keys that may read."""
    context.current().job_metrics.refresh()
    return flask.Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


def configure(app: flask.Flask, current: context.Context) -> None:
    """Let `/readyz` tell of what an application works with from now on."""
    app.extensions["readiness"] = probes.OneAtATime(functools.partial(check, current))


def check(current: context.Context) -> dict[str, str]:
    """Probe everything that the API needs, in parallel, by writing a little; returns what is wrong, by what is down."""
    asked: dict[str, Callable[[], object]] = {
        name: functools.partial(current.probes.check, name)
        for name in (*(f"database.{store}" for store in roles.STORES), "storage")
    }
    failures = {}
    pool = concurrent.futures.ThreadPoolExecutor(2 + len(asked) + len(roles.ROLES))
    looking = pool.submit(broker.look_at_all, current.config)
    asked["broker"] = looking.result
    asked |= {f"consumer.{role}": _consumer_probe(current, role, looking) for role in roles.ROLES}
    asked["inference"] = functools.partial(copies.require, current.databases)
    started = {name: pool.submit(probe) for name, probe in asked.items()}
    limit = time.monotonic() + _PROBE_SECONDS
    for name, future in started.items():
        try:
            future.result(timeout=max(0.0, limit - time.monotonic()))
        except (services.NoConsumerError, copies.NoCopyError) as error:
            failures[name] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is the answer.
            # What keeps a role's consumers from being looked at has a probe of its own.
            if not name.startswith("consumer."):
                fault = faults.find(error)
                failures[name] = fault.reason if fault else type(error).__name__
    pool.shutdown(wait=False)
    return failures


def _consumer_probe(
    current: context.Context, role: str, looking: concurrent.futures.Future[dict[str, broker.Queue]]
) -> Callable[[], None]:
    def probe() -> None:
        queues = {} if looking.exception(timeout=_PROBE_SECONDS / 2) else looking.result()
        services.require_consumer(
            current.databases, role, queue=queues.get(role), beat_seconds=current.config.beat_seconds
        )

    return probe
