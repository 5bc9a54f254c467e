"""Queues and doorbells: the same words on RabbitMQ and on Redis."""

import contextlib
import functools
from typing import Any

import kombu
import orjson

from shared import roles, settings
from shared.jobs import ledger

DEAD = "millrace.dead"
"""Exchange and queue that receive junk: messages that no worker can read."""

EVENTS = "millrace.events"
"""Topic exchange to which the relay publishes events."""

_CONNECT_SECONDS = 4
_ANSWER_SECONDS = 8
_HIGHEST_PRIORITY = 9


def is_amqp(config: settings.Settings) -> bool:
    """Tell whether the broker is RabbitMQ."""
    return config.effective_broker_url().startswith(("amqp", "pyamqp"))


def connect(config: settings.Settings) -> kombu.Connection:
    """Make a connection to the broker; it connects when it is first used, and waits for no answer for ever."""
    # Reads only: a publisher that RabbitMQ blocks may wait, and must not come back with the same bells again.
    patience = {"read_timeout": _ANSWER_SECONDS} if is_amqp(config) else {}
    return kombu.Connection(
        config.effective_broker_url(),
        connect_timeout=_CONNECT_SECONDS,
        heartbeat=10 if is_amqp(config) else 0,
        transport_options=transport_options(config) | patience,
    )


def hang_up(connection: kombu.Connection, *, config: settings.Settings) -> None:
    """Let a connection go, without a word to a RabbitMQ that may not listen."""
    with contextlib.suppress(Exception):
        connection.collect() if is_amqp(config) else connection.release()


def transport_options(config: settings.Settings) -> dict[str, Any]:
    """Give the transport's options, the same for workers and ringers."""
    if is_amqp(config):
        return {}
    return {
        # Doorbells are acknowledged early, so a redelivery comes only from a worker killed in between.
        "visibility_timeout": 60,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 30,
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "queue_order_strategy": "priority",
        "priority_steps": list(range(_HIGHEST_PRIORITY + 1)),
    }


@functools.cache
def _arguments(*, amqp: bool) -> dict[str, Any] | None:
    return {"x-queue-type": "quorum", "x-dead-letter-exchange": DEAD} if amqp else None


def queue_of(role: str, *, config: settings.Settings) -> kombu.Queue:
    """Give a role's queue: on RabbitMQ a durable quorum queue whose junk goes to the dead letters."""
    return kombu.Queue(role, routing_key=role, durable=True, queue_arguments=_arguments(amqp=is_amqp(config)))


def declare(channel: Any, *, config: settings.Settings, only: list[str] | None = None) -> None:
    """Make the queues of the roles, and what dead letters and events need."""
    if is_amqp(config):
        dead = kombu.Exchange(DEAD, type="fanout", durable=True)
        kombu.Queue(DEAD, exchange=dead, durable=True, queue_arguments={"x-queue-type": "quorum"})(channel).declare()
    kombu.Exchange(EVENTS, type="topic", durable=True)(channel).declare()
    for role in only or roles.ROLES:
        queue_of(role, config=config)(channel).declare()


def priority_for(priority: int, *, amqp: bool) -> int:
    """Give a job's priority (0 to 9, 9 first) in the broker's own order: in Redis 0 comes first."""
    return priority if amqp else _HIGHEST_PRIORITY - priority


def ring(channel: Any, bell: ledger.Doorbell, *, amqp: bool) -> None:
    """Publish a doorbell as a task message (Celery's protocol 2) that a stock worker runs."""
    body = orjson.dumps(
        [[], {"v": 1, "job_id": bell.job_id}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    ).decode()
    headers = {
        "lang": "py",
        "task": bell.kind,
        "id": bell.job_id,
        "root_id": bell.job_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": f"{{'job_id': '{bell.job_id}'}}",
        "origin": "millrace",
        "ignore_result": True,
    }
    if bell.traceparent:
        headers["traceparent"] = bell.traceparent
    message = channel.prepare_message(
        body,
        priority=priority_for(bell.priority, amqp=amqp),
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"delivery_mode": 2, "correlation_id": bell.job_id},
    )
    channel.basic_publish(message, exchange="", routing_key=bell.kind.partition(".")[0])


def depth(channel: Any, role: str, *, config: settings.Settings) -> int:
    """Count the doorbells that wait in a role's queue."""
    return int(queue_of(role, config=config)(channel).queue_declare().message_count)
