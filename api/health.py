"""Liveness, readiness and metrics of the API."""

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
_LIMIT_SECONDS = 6.0
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_ESSENTIAL = ("database.api", "storage")


class Liveness(documents.Document):
    """The process lives."""

    status: Literal["ok"]


class Readiness(documents.Document):
    """What is ready, and what is not."""

    status: Literal["ready", "degraded", "unavailable"]
    not_ready: list[str] = pydantic.Field(description="What is down: `database.<role>`, `broker`, `storage`.")
    reasons: dict[str, str] = pydantic.Field(description="By what is down, the class of the fault.")


@blueprint.get("/healthz", responses={200: Liveness})
@auth.public
def live() -> flask.Response:
    """Say that the process lives."""
    return answers.json({"status": "ok"})


@blueprint.get("/readyz", responses={200: Readiness, 503: Readiness})
@auth.public
def ready() -> flask.Response:
    """Say what is not ready; 503 only when no job at all could be accepted.

    While one role's database is down the others' jobs are still accepted, so the API stays ready and
    a load balancer keeps it.
    """
    faults = check(context.current())
    down = [name for name in faults if name.startswith("database.") and name != "database.api"]
    is_ready = not any(name in faults for name in _ESSENTIAL) and len(down) < len(roles.ROLES)
    status = "ready" if not faults else "degraded" if is_ready else "unavailable"
    document = {"status": status, "not_ready": sorted(faults), "reasons": faults}
    return answers.json(document, status=200 if is_ready else 503)


@blueprint.get("/metrics", responses={200: {"description": "Prometheus metrics", "content": _TEXT}})
@auth.public
def metrics() -> flask.Response:
    """Give this process's metrics."""
    return flask.Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


def check(here: context.Context) -> dict[str, str]:
    """Try everything that the API needs at once; gives what is not ready, with the reason's class."""
    probes: dict[str, Callable[[], None]] = {
        **{f"database.{store}": _database_probe(here, store) for store in roles.STORES},
        "broker": lambda: _broker_probe(here),
        "storage": here.objects.check,
    }
    faults = {}
    pool = concurrent.futures.ThreadPoolExecutor(len(probes))
    started = {name: pool.submit(probe) for name, probe in probes.items()}
    for name, future in started.items():
        try:
            future.result(timeout=_LIMIT_SECONDS)
        except Exception as fault:  # noqa: BLE001 - whatever a probe raises is the answer.
            faults[name] = type(fault).__name__
    pool.shutdown(wait=False)
    return faults


def _database_probe(here: context.Context, store: str) -> Callable[[], None]:
    def probe() -> None:
        with here.databases[store].statements.connect() as connection:
            connection.execute(sa.text("SELECT 1"))

    return probe


def _broker_probe(here: context.Context) -> None:
    with broker.connect(here.config) as connection:
        connection.ensure_connection(max_retries=1, timeout=_LIMIT_SECONDS)
