"""A role's line to the broker: one connection with one channel, made anew when anything went wrong with it."""

import time
from typing import Any

import orjson

from shared import settings
from shared.jobs import ledger
from shared.queues import broker, confirms

_CONFIRM_SECONDS = 1.0


class Line:
    """Opens a connection when there is none."""

    def __init__(self, config: settings.Settings) -> None:
        """Connect when it is first used."""
        self._config = config
        self._connection: Connection | None = None

    def open(self) -> "Connection":
        """Give the open connection, made first when there is none."""
        if self._connection is None:
            self._connection = Connection(self._config)
        return self._connection

    def hang_up(self) -> None:
        """Let the connection go; the next `open` makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Connection:
    """A connection to the broker with one channel, on which RabbitMQ confirms what it takes."""

    def __init__(self, config: settings.Settings) -> None:
        """Connect, and declare the queues."""
        self._config = config
        self._amqp = broker.is_amqp(config)
        self._connection = broker.connect(config)
        self.channel = self._connection.channel()
        broker.declare(self.channel, config=config)
        self._refused = 0
        self._confirms = (
            confirms.Confirms[None](self.channel, on_ack=lambda _: None, on_nack=self._refuse) if self._amqp else None
        )

    def _refuse(self, _item: None) -> None:
        self._refused += 1

    def ring(self, bell: ledger.Doorbell) -> None:
        """Publish a doorbell."""
        if self._confirms:
            self._confirms.add(None)
        broker.ring(self.channel, bell, amqp=self._amqp)

    def publish(self, event: dict[str, Any]) -> None:
        """Publish a CloudEvent to the event exchange."""
        if self._confirms:
            self._confirms.add(None)
        message = self.channel.prepare_message(
            orjson.dumps(event).decode(),
            content_type="application/cloudevents+json",
            content_encoding="utf-8",
            properties={"delivery_mode": 2, "message_id": event["id"]},
        )
        self.channel.basic_publish(message, exchange=broker.EVENTS, routing_key=event["type"])

    def is_clear(self) -> bool:
        """Tell whether the broker has confirmed everything, after a moment's wait; raises when it refuses.

        A RabbitMQ under a memory or disk alarm confirms nothing for as long as that lasts, and the other chores
        must not wait for it.
        """
        limit = time.monotonic() + _CONFIRM_SECONDS
        while self._confirms and self._confirms.outstanding:
            self._connection.heartbeat_check()
            try:
                self._connection.drain_events(timeout=max(0.01, limit - time.monotonic()))
            except TimeoutError:
                return False
        if self._refused:
            raise ConnectionError(f"the broker refused {self._refused} messages")
        return True

    def close(self) -> None:
        """Let the connection go, without a word to a broker that may not listen."""
        broker.hang_up(self._connection, config=self._config)
