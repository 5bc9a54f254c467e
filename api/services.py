"""What there is: kinds of jobs, and the roles with their live workers and queues."""

import concurrent.futures
from typing import Any

import flask
import flask_openapi

from api import answers, auth, documents, door
from shared import broker, clock, database, job_views, kinds, registry, roles

services = flask_openapi.APIBlueprint("services", __name__, url_prefix="/v1", abp_tags=[{"name": "services"}])
_MOST_COUNTED = 100_000


@services.get("/kinds", responses={200: documents.KindList})
@auth.needs("read")
def list_kinds() -> flask.Response:
    """List every kind of job, with the JSON Schema of what it takes and answers."""
    return answers.json(
        {
            "kinds": [
                {
                    "kind": kind.name,
                    "role": kind.role,
                    "description": kind.description,
                    "params": kind.command.model_json_schema(),
                    "result": kind.result.model_json_schema(mode="serialization"),
                }
                for kind in kinds.public().values()
            ]
        }
    )


@services.get("/services", responses={200: documents.ServiceList})
@auth.needs("read")
def list_services() -> flask.Response:
    """List every role with its live workers, queue depth and oldest wait."""
    here = door.current()
    bells = doorbells(here)
    with concurrent.futures.ThreadPoolExecutor(len(roles.ROLES)) as pool:
        described = list(pool.map(lambda role: describe(here, role, bells=bells.get(role)), roles.ROLES))
    return answers.json({"services": described})


def describe(here: door.Door, role: str, *, bells: int | None) -> dict[str, Any]:
    """Describe a role as it is now; its database may be down."""
    known: dict[str, Any] = {"role": role, "does": roles.ROLES[role].does, "doorbells": bells}
    try:
        with here.databases[role].statements.connect() as connection:
            live = registry.live(connection, beat_seconds=here.config.beat_seconds)
            waiting = job_views.backlog(connection, most=_MOST_COUNTED)
    except database.FAULTS:
        return {**known, "status": "down", "workers": [], "queue_depth": None, "oldest_wait_seconds": None}
    return {
        **known,
        "status": "up" if live else "no_workers",
        "workers": [
            {
                "id": worker.id.partition("/")[2],
                "host": worker.host,
                "pid": worker.pid,
                "concurrency": worker.concurrency,
                "busy": worker.busy,
                "version": worker.version,
                "since": clock.to_text(worker.since),
                "seen_at": clock.to_text(worker.seen_at),
            }
            for worker in live
        ],
        "queue_depth": waiting.queued,
        "oldest_wait_seconds": waiting.oldest_wait_seconds,
    }


def doorbells(here: door.Door) -> dict[str, int]:
    """Count the doorbells in each role's queue; nothing while the broker is away."""
    try:
        with broker.connect(here.config) as connection:
            channel = connection.channel()
            return {role: broker.depth(channel, role, config=here.config) for role in roles.ROLES}
    except Exception:  # noqa: BLE001 - each transport has faults of its own, and all mean the same here.
        return {}
