"""The current state of the roles, each with its live workers and its queue; and the kinds of job."""

import concurrent.futures
from typing import Any

from shared import clock, database, kinds, roles, settings
from shared.jobs import views, workers
from shared.queues import broker

_MAX_COUNTED = 100_000


def list_kinds() -> dict[str, Any]:
    """Describe every public kind of job, with the JSON Schemas of its parameters and its result."""
    return {
        "kinds": [
            {
                "kind": kind.name,
                "role": kind.role,
                "description": kind.description,
                "params": kind.command.model_json_schema(),
                "result": kind.result.model_json_schema(mode="serialization"),
            }
            for kind in kinds.public_by_name().values()
        ]
    }


def list_services(databases: database.Databases, *, config: settings.Settings) -> dict[str, Any]:
    """Describe every role with its live workers, queue depth and oldest wait."""
    doorbells = count_doorbells(config)

    def describe(role: str) -> dict[str, Any]:
        return describe_role(databases, role, doorbells=doorbells.get(role), beat_seconds=config.beat_seconds)

    with concurrent.futures.ThreadPoolExecutor(len(roles.ROLES)) as pool:
        return {"services": list(pool.map(describe, roles.ROLES))}


def describe_role(
    databases: database.Databases, role: str, *, doorbells: int | None, beat_seconds: float
) -> dict[str, Any]:
    """Describe the current state of a role; its database may be down."""
    document: dict[str, Any] = {"role": role, "does": roles.ROLES[role].does, "doorbells": doorbells}
    try:
        with databases[role].statements.connect() as connection:
            live = workers.list_live(connection, beat_seconds=beat_seconds)
            backlog = views.read_backlog(connection, limit=_MAX_COUNTED)
    except database.FAULTS:
        return {**document, "status": "down", "workers": [], "queue_depth": None, "oldest_wait_seconds": None}
    return {
        **document,
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
        "queue_depth": backlog.queued,
        "oldest_wait_seconds": backlog.oldest_wait_seconds,
    }


def count_doorbells(config: settings.Settings) -> dict[str, int]:
    """Count the doorbells in each role's queue; empty while the broker is down."""
    try:
        with broker.connect(config) as connection:
            channel = connection.channel()
            return {role: broker.depth(channel, role, config=config) for role in roles.ROLES}
    except Exception:  # noqa: BLE001 - each transport raises errors of its own, and all mean that the broker is down.
        return {}
