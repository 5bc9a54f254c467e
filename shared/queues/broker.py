"""Queues and doorbells, by the same functions on RabbitMQ and on Redis."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import amqp
import kombu
import orjson

from shared import roles, settings
from shared.jobs import ledger

DEAD_LETTERS = "millrace.dead"
"""Exchange and queue of dead letters: messages that workers refused because they are no doorbells."""

EVENTS = "millrace.events"
"""Topic exchange to which the relay publishes events."""

CONNECT_SECONDS = 4
HEARTBEAT_SECONDS = 6
"""A connection on which RabbitMQ says nothing for twice this long is given up."""
_REPLY_SECONDS = 8
"""The longest wait for an answer, and for the other side to take what is sent."""
_HIGHEST_PRIORITY = 9


@dataclasses.dataclass(frozen=True)
class Queue:
    """What the broker says of a role's queue."""

    doorbells: int
    consumers: int | None
    """None on Redis, which doesn't count them."""


def is_amqp(config: settings.Settings) -> bool:
    """Return whether the broker is RabbitMQ."""
    return config.effective_broker_url().startswith(("amqp", "pyamqp"))


def connect(
    config: settings.Settings, *, on_blocked: Callable[[bool], None] | None = None, **options: Any
) -> kombu.Connection:
    """Create a connection to the broker, which connects when it is first used; no read and no write waits forever.

    `on_blocked` is told when RabbitMQ, under an alarm, stops and starts again to read what is published.
    """
    if on_blocked and is_amqp(config):
        options |= {"on_blocked": lambda _reason: on_blocked(True), "on_unblocked": lambda: on_blocked(False)}
    return kombu.Connection(
        config.effective_broker_url(),
        connect_timeout=CONNECT_SECONDS,
        heartbeat=HEARTBEAT_SECONDS if is_amqp(config) else 0,
        transport_options=transport_options(config) | options,
    )


def open_channel(connection: kombu.Connection) -> Any:
    """Open a channel; connect first, if need be, in one attempt and not in several as kombu does."""
    connection.ensure_connection(max_retries=0)
    return connection.channel()


def disconnect(connection: kombu.Connection, *, config: settings.Settings) -> None:
    """Close a connection, without notifying RabbitMQ, which may not respond."""
    with contextlib.suppress(Exception):
        connection.collect() if is_amqp(config) else connection.release()


def transport_options(config: settings.Settings) -> dict[str, Any]:
    """Build the transport's options, which are the same for workers and publishers."""
    if is_amqp(config):
        return {"read_timeout": _REPLY_SECONDS, "write_timeout": _REPLY_SECONDS}
    return {
        # Doorbells are acknowledged early, so only a worker that is killed before that causes a redelivery.
        "visibility_timeout": 60,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": _REPLY_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "queue_order_strategy": "priority",
        "priority_steps": list(range(_HIGHEST_PRIORITY + 1)),
    }


@functools.cache
def _queue_arguments(*, amqp: bool) -> dict[str, Any] | None:
    return {"x-queue-type": "quorum", "x-dead-letter-exchange": DEAD_LETTERS} if amqp else None


def queue_of(role: str, *, config: settings.Settings) -> kombu.Queue:
    """Describe a role's queue: on RabbitMQ a durable quorum queue whose refused messages become dead letters."""
    return kombu.Queue(role, routing_key=role, durable=True, queue_arguments=_queue_arguments(amqp=is_amqp(config)))


def declare(channel: Any, *, config: settings.Settings, only: list[str] | None = None) -> None:
    """Declare the queues of the roles (of those in `only`, if given), and what dead letters and events need."""
    if is_amqp(config):
        exchange = kombu.Exchange(DEAD_LETTERS, type="fanout", durable=True)
        arguments = {"x-queue-type": "quorum"}
        kombu.Queue(DEAD_LETTERS, exchange=exchange, durable=True, queue_arguments=arguments)(channel).declare()
    kombu.Exchange(EVENTS, type="topic", durable=True)(channel).declare()
    for role in only or roles.ROLES:
        queue_of(role, config=config)(channel).declare()


def open_declared_channel(connection: kombu.Connection, *, config: settings.Settings) -> Any:
    """Open a channel for publishing; declare what is missing, which takes rights that a publisher may not have.

    docs/decisions/queues.md, "Each service has a login of its own at RabbitMQ".
    """
    channel = open_channel(connection)
    if is_amqp(config):
        try:
            for exchange in (DEAD_LETTERS, EVENTS):
                channel.exchange_declare(exchange, type=None, passive=True)
            for queue in (DEAD_LETTERS, *roles.ROLES):
                channel.queue_declare(queue, passive=True)
        except amqp.exceptions.NotFound:
            # RabbitMQ has closed the channel with its answer.
            channel = connection.channel()
        else:
            return channel
    declare(channel, config=config)
    return channel


def to_broker_priority(priority: int, *, amqp: bool) -> int:
    """Convert a job's priority (0 to 9, 9 first) to the broker's own order: in Redis 0 comes first.

    What comes after all else, with a negative priority, has 0 here: the row decides.
    """
    priority = max(0, priority)
    return priority if amqp else _HIGHEST_PRIORITY - priority


def ring(channel: Any, doorbell: ledger.Doorbell, *, amqp: bool) -> None:
    """Publish a doorbell as a task message (Celery's protocol 2) that any Celery worker can run.

    `workers/consumer.py` refuses messages of another form: docs/decisions/workers.md, "The worker's consumer refuses
    all but doorbells".
    """
    body = orjson.dumps(
        [[], {"v": 1, "job_id": doorbell.job_id}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    ).decode()
    headers = {
        "lang": "py",
        "task": doorbell.kind,
        "id": doorbell.job_id,
        "root_id": doorbell.job_id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": f"{{'job_id': '{doorbell.job_id}'}}",
        "origin": "millrace",
        "ignore_result": True,
    }
    if doorbell.traceparent:
        headers["traceparent"] = doorbell.traceparent
    message = channel.prepare_message(
        body,
        priority=to_broker_priority(doorbell.priority, amqp=amqp),
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"delivery_mode": 2, "correlation_id": doorbell.job_id},
    )
    channel.basic_publish(message, exchange="", routing_key=doorbell.kind.partition(".")[0])


def look(channel: Any, role: str, *, config: settings.Settings) -> Queue:
    """Read how many doorbells wait in a role's queue, which must exist, and how many consumers it has."""
    if not is_amqp(config):
        return Queue(int(queue_of(role, config=config)(channel).queue_declare().message_count), None)
    counted = channel.queue_declare(role, passive=True)
    return Queue(int(counted.message_count), int(counted.consumer_count))


def look_at_all(config: settings.Settings, *, only: Iterable[str] = roles.ROLES) -> dict[str, Queue]:
    """Look at the roles' queues on a connection of its own; a queue that doesn't exist is empty and has no consumer."""
    queues = {}
    with connect(config) as connection:
        channel = open_channel(connection)
        for role in only:
            try:
                queues[role] = look(channel, role, config=config)
            except amqp.exceptions.NotFound:
                # RabbitMQ has closed the channel with its answer.
                channel = connection.channel()
                queues[role] = Queue(0, 0)
    return queues
