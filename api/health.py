"""Liveness, readiness and metrics of the API.

When `/readyz` answers 503: docs/decisions/accepting.md, "`/readyz` stays 200 while one role's database is down".
"""

import concurrent.futures
from collections.abc import Callable
from typing import Literal

import flask
import flask_openapi
import prometheus_client
import pydantic
import sqlalchemy as sa

from api import answers, auth, context, documents
from shared import roles
from shared.queues import broker

blueprint = flask_openapi.APIBlueprint("health", __name__, abp_tags=[{"name": "health"}])
_PROBE_TIMEOUT_SECONDS = 6.0
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ESSENTIAL = ("database.api", "storage")


class Liveness(documents.Document):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(documents.Document):
    """Whether jobs can be accepted, and what is down."""

    status: Literal["ready", "degraded", "unavailable"]
    not_ready: list[str] = pydantic.Field(description="What is down: `database.<role>`, `broker`, `storage`.")
    reasons: dict[str, str] = pydantic.Field(description="The class of the error, by what is down.")


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
    failures = check(context.current())
    down = [name for name in failures if name.startswith("database.") and name != "database.api"]
    is_ready = not any(name in failures for name in _ESSENTIAL) and len(down) < len(roles.ROLES)
    status = "ready" if not failures else "degraded" if is_ready else "unavailable"
    document = {"status": status, "not_ready": sorted(failures), "reasons": failures}
    return answers.json(document, status=200 if is_ready else 503)


@blueprint.get("/metrics", responses={200: {"description": "Prometheus metrics", "content": _TEXT}})
@auth.public
def metrics() -> flask.Response:
    """Export this process's metrics for Prometheus."""
    return flask.Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


def check(current: context.Context) -> dict[str, str]:
    """Probe everything that the API needs, in parallel; returns the class of the error, by what is down."""
    probes: dict[str, Callable[[], None]] = {
        **{f"database.{store}": _database_probe(current, store) for store in roles.STORES},
        "broker": lambda: _broker_probe(current),
        "storage": current.objects.check,
    }
    failures = {}
    pool = concurrent.futures.ThreadPoolExecutor(len(probes))
    started = {name: pool.submit(probe) for name, probe in probes.items()}
    for name, future in started.items():
        try:
            future.result(timeout=_PROBE_TIMEOUT_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is the answer.
            failures[name] = type(error).__name__
    pool.shutdown(wait=False)
    return failures


def _database_probe(current: context.Context, store: str) -> Callable[[], None]:
    def probe() -> None:
        with current.databases[store].statements.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    return probe


def _broker_probe(current: context.Context) -> None:
    with broker.connect(current.config) as connection:
        connection.ensure_connection(max_retries=1, timeout=_PROBE_TIMEOUT_SECONDS)
