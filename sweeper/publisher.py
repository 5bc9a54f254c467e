"""How a role's chores publish to the broker: on one connection with one channel, replaced when anything fails on it."""

import time
from typing import Any

import orjson

from shared import settings
from shared.jobs import ledger
from shared.queues import broker, confirms

_CONFIRM_SECONDS = 1.0


class Connector:
    """Keeps one publisher open, and opens another when there is none."""

    def __init__(self, config: settings.Settings) -> None:
        """Connect when it is first used."""
        self._config = config
        self._publisher: Publisher | None = None

    def open(self) -> "Publisher":
        """Return the open publisher; connect first if there is none."""
        if self._publisher is None:
            self._publisher = Publisher(self._config)
        return self._publisher

    def disconnect(self) -> None:
        """Close the connection; the next `open` makes another."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


class Publisher:
    """A connection to the broker with one channel, on which RabbitMQ confirms what it accepts."""

    def __init__(self, config: settings.Settings) -> None:
        """Connect, and declare the queues that are missing."""
        self._config = config
        self._amqp = broker.is_amqp(config)
        self._connection = broker.connect(config)
        self.channel = broker.open_declared_channel(self._connection, config=config)
        self._refused = 0
        self._confirms = (
            confirms.Confirms[None](self.channel, on_ack=lambda _: None, on_nack=self._count_refused)
            if self._amqp
            else None
        )

    def _count_refused(self, _item: None) -> None:
        self._refused += 1

    def ring(self, doorbell: ledger.Doorbell) -> None:
        """Publish a doorbell."""
        if self._confirms:
            self._confirms.add(None)
        broker.ring(self.channel, doorbell, amqp=self._amqp)

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
        """Return whether the broker has confirmed everything, after at most a second; raise when it refused something.

        A RabbitMQ under a memory or disk alarm confirms nothing while the alarm lasts, and the other chores must not
        wait for it. See docs/decisions/queues.md, "The sweeper waits at most a second for confirms, and publishes
        nothing more while some are missing".
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
        """Close the connection, without notifying a broker that may not respond."""
        broker.disconnect(self._connection, config=self._config)
