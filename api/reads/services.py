"""The current state of the roles, each with its live workers and its queue; and the kinds of job."""

import concurrent.futures
import functools
from typing import Any

from api.reads import copies
from shared import clock, contract, database, kinds, roles, settings
from shared.jobs import views, workers
from shared.queues import broker

_MAX_COUNTED = 100_000


def list_kinds() -> dict[str, Any]:
    """Describe every public kind of job, with the JSON Schemas of its parameters and its result."""
    return {"kinds": [_describe(kind) for kind in kinds.public_by_name().values()]}


@functools.cache
def _describe(kind: contract.Kind) -> dict[str, Any]:
    """Describe a kind, once: all the schemas together take a tenth of a second to make."""
    return {
        "kind": kind.name,
        "role": kind.role,
        "description": kind.description,
        "params": kind.command.model_json_schema(),
        "result": kind.result.model_json_schema(mode="serialization"),
    }


class NoConsumerError(Exception):
    """Jobs of a role wait, and nobody listens to its queue."""

    def __init__(self) -> None:
        """Say it in two words."""
        super().__init__("no consumer")


def list_services(databases: database.Databases, *, config: settings.Settings) -> dict[str, Any]:
    """Describe every role with its live workers, its queue and oldest wait."""
    queues = _look_at_queues(config)

    def describe(role: str) -> dict[str, Any]:
        return describe_role(databases, role, queue=queues.get(role), beat_seconds=config.beat_seconds)

    with concurrent.futures.ThreadPoolExecutor(len(roles.ROLES)) as pool:
        described = list(pool.map(describe, roles.ROLES))
    return {"services": described, "inference_servers": copies.list_live(databases)}


def describe_role(
    databases: database.Databases, role: str, *, queue: broker.Queue | None, beat_seconds: float
) -> dict[str, Any]:
    """Describe the current state of a role, whose database may be down; `queue` is None while the broker is."""
    document: dict[str, Any] = {
        "role": role,
        "does": roles.ROLES[role].does,
        "doorbells": queue.doorbells if queue else None,
        "consumers": queue.consumers if queue else None,
    }
    try:
        with databases[role].statements.connect() as connection:
            live = workers.list_live(connection, beat_seconds=beat_seconds)
            count_busy = workers.count_busy(connection)
            backlog = views.read_backlog(connection, limit=_MAX_COUNTED)
    except database.FAULTS:
        return {
            **document,
            "status": "down",
            "problem": None,
            "workers": [],
            "queue_depth": None,
            "oldest_wait_seconds": None,
        }
    is_unheard = _is_unheard(backlog, queue=queue, live_workers=len(live))
    return {
        **document,
        "status": "no_workers" if not live else "no_consumer" if is_unheard else "up",
        "problem": f"{NoConsumerError()}: jobs wait, and nobody listens to the queue" if is_unheard else None,
        "workers": [
            {
                "id": worker.id.partition("/")[2],
                "host": worker.host,
                "pid": worker.pid,
                "concurrency": worker.concurrency,
                "busy": count_busy(worker.id),
                "version": worker.version,
                "since": clock.to_text(worker.since),
                "seen_at": clock.to_text(worker.seen_at),
            }
            for worker in live
        ],
        "queue_depth": backlog.queued,
        "oldest_wait_seconds": backlog.oldest_wait_seconds,
    }


def require_consumer(
    databases: database.Databases, role: str, *, queue: broker.Queue | None, beat_seconds: float
) -> None:
    """Raise NoConsumerError when jobs of a role wait and nobody listens; its database may be down."""
    try:
        with databases[role].statements.connect() as connection:
            live = workers.list_live(connection, beat_seconds=beat_seconds)
            backlog = views.read_backlog(connection, limit=1)
    except database.FAULTS:
        return
    if _is_unheard(backlog, queue=queue, live_workers=len(live)):
        raise NoConsumerError


def _is_unheard(backlog: views.Backlog, *, queue: broker.Queue | None, live_workers: int) -> bool:
    """Return whether jobs are ready, and nobody listens; a doorbell without a job is nothing that waits.

    Redis doesn't count consumers, and without a broker workers look by themselves: then whoever lives listens.
    """
    listeners = live_workers if queue is None or queue.consumers is None else queue.consumers
    return backlog.oldest_wait_seconds > 0 and listeners == 0


def _look_at_queues(config: settings.Settings) -> dict[str, broker.Queue]:
    """Look at the roles' queues; empty while the broker is down."""
    try:
        return broker.look_at_all(config)
    except Exception:  # noqa: BLE001 - each transport raises errors of its own, and all mean that the broker is down.
        return {}
