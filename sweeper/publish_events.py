"""The chore of publishing: the event log goes on to the broker's topic exchange, in its order."""

import time

import prometheus_client

from shared import database, ids
from shared.events import cloud_events, cursors, log
from sweeper.publisher import Connector, Publisher

_SECONDS = 0.5
_LEASE_SECONDS = 15.0
_RENEW_SECONDS = 5.0
_MAX_EVENTS = 500
_MAX_ROUNDS = 20
"""So many batches are published in one go, before the other chores have their turn."""
_CURSOR = "exchange"

PUBLISHED = prometheus_client.Counter("millrace_events_published_total", "Events that the broker took.")


class PublishEvents:
    """Publishes what is behind its cursor, and moves that once the broker has confirmed it.

    A broker that is away or loses messages loses no event, since those who must not miss any read the log: it is only
    told later.
    """

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, *, connector: Connector) -> None:
        """Publish from the log in the API's database."""
        self._engines = engines
        self._connector = connector
        self._owner = ids.new_ulid()
        self._unconfirmed: tuple[Publisher, list[log.Logged]] | None = None
        self._position: int | None = None
        """Up to where is published, while the cursor is this sweeper's."""
        self._renew_at = 0.0

    def do(self) -> None:
        """Publish what there is, or until the broker takes its time to confirm; the rest of very much has its turn."""
        for _ in range(_MAX_ROUNDS):
            if not self._publish_batch():
                return

    def _publish_batch(self) -> bool:
        """Publish a batch; return whether there may be more."""
        publisher = self._connector.open()
        if time.monotonic() >= self._renew_at:
            self._lease()
        if self._position is None:
            self._unconfirmed = None
            return False
        unconfirmed = self._unconfirmed
        if unconfirmed is not None and unconfirmed[0] is publisher:
            return self._move_if_confirmed(*unconfirmed)
        with self._engines.statements.connect() as connection:
            events = log.read_after(connection, self._position, limit=_MAX_EVENTS)
        if not events:
            return False
        for event in events:
            publisher.publish(cloud_events.to_cloud_event(event))
        self._unconfirmed = publisher, events
        return self._move_if_confirmed(publisher, events)

    def _lease(self) -> None:
        """Lease the cursor, or prolong its lease: not at each turn, because each time something is written."""
        self._renew_at = time.monotonic() + _RENEW_SECONDS
        with self._engines.statements.begin() as connection:
            self._position = cursors.lease(connection, _CURSOR, owner=self._owner, seconds=_LEASE_SECONDS)

    def _move_if_confirmed(self, publisher: Publisher, events: list[log.Logged]) -> bool:
        """Move the cursor behind published events if the broker has confirmed all of them; else it stays."""
        if not publisher.is_clear():
            return False
        self._unconfirmed = None
        with self._engines.statements.begin() as connection:
            moved = cursors.move(connection, _CURSOR, events[-1].position, owner=self._owner)
        self._position = events[-1].position if moved else None
        PUBLISHED.inc(len(events))
        return moved
