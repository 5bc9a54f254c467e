"""The chore of relaying: what roles have committed goes to the API's mirror of names and to the event exchange."""

import dataclasses

import prometheus_client

from shared import database, roles
from shared.catalog import mirror
from shared.jobs import outbox
from sweeper import events
from sweeper.publisher import Connector, Publisher

_SECONDS = 0.5
_MAX_EVENTS = 500

RELAYED = prometheus_client.Counter("millrace_events_relayed_total", "Events that the broker took.", ["role"])


@dataclasses.dataclass(frozen=True)
class _Unconfirmed:
    """What a publisher has published, and the broker has not confirmed yet."""

    publisher: Publisher
    events: list[outbox.OutgoingEvent]
    ends: list[outbox.OutgoingEvent]


class Relay:
    """Writes committed events into the mirror of names, publishes them, and drops them once the broker has them."""

    seconds = _SECONDS

    def __init__(self, role: str, databases: database.Databases, *, connector: Connector) -> None:
        """Relay what one role has committed."""
        self._role = role
        self._databases = databases
        self._connector = connector
        self._unconfirmed: _Unconfirmed | None = None

    def do(self) -> None:
        """Relay once, unless the broker has not confirmed yet what was published before."""
        publisher = self._connector.open()
        # What an earlier publisher left unconfirmed is taken from the outbox again when its lease there is over.
        unconfirmed = self._unconfirmed
        if unconfirmed is not None and unconfirmed.publisher is publisher and not self._drop_confirmed(unconfirmed):
            return
        self._unconfirmed = None
        with self._databases[self._role].transactions.begin() as transaction:
            committed = outbox.take(transaction, limit=_MAX_EVENTS)
            ends = outbox.take_ends(transaction, limit=_MAX_EVENTS)
        if not committed and not ends:
            return
        if committed:
            with self._databases[roles.API].transactions.begin() as transaction:
                for event in committed:
                    mirror.note(transaction, event, role=self._role)
        for event in (*committed, *ends):
            publisher.publish(events.to_cloud_event(event, role=self._role))
        self._unconfirmed = _Unconfirmed(publisher, committed, ends)
        self._drop_confirmed(self._unconfirmed)

    def _drop_confirmed(self, unconfirmed: _Unconfirmed) -> bool:
        """Drop published events if the broker has confirmed all of them; False when it has not yet."""
        if not unconfirmed.publisher.is_clear():
            return False
        with self._databases[self._role].statements.begin() as transaction:
            outbox.drop(transaction, [event.id for event in unconfirmed.events])
            outbox.drop_ends(transaction, [end.subject for end in unconfirmed.ends])
        RELAYED.labels(self._role).inc(len(unconfirmed.events) + len(unconfirmed.ends))
        self._unconfirmed = None
        return True
