"""The chore of relaying: what roles have committed goes to the API's mirror of names and to the event exchange."""

import dataclasses

import prometheus_client

from shared import database, roles
from shared.catalog import mirror
from shared.jobs import outbox
from sweeper import events
from sweeper.line import Connection, Line

_SECONDS = 0.5
_MOST_EVENTS = 500

RELAYED = prometheus_client.Counter("millrace_events_relayed_total", "Events that the broker took.", ["role"])


@dataclasses.dataclass(frozen=True)
class _Sent:
    """What was published on a connection, and not seen to be confirmed yet."""

    connection: Connection
    events: list[outbox.OutgoingEvent]
    ends: list[outbox.OutgoingEvent]


class Relay:
    """Notes committed events in the mirror, publishes them, and drops them once the broker has them."""

    seconds = _SECONDS

    def __init__(self, role: str, databases: database.Databases, *, line: Line) -> None:
        """Relay what one role has committed."""
        self._role = role
        self._databases = databases
        self._line = line
        self._sent: _Sent | None = None

    def do(self) -> None:
        """Relay once, unless the broker has not confirmed yet what was published before."""
        connection = self._line.open()
        # What was sent on a connection that is gone is taken again when its lease in the outbox is over.
        if self._sent is not None and self._sent.connection is connection and not self._confirm(self._sent):
            return
        self._sent = None
        with self._databases[self._role].transactions.begin() as transaction:
            taken = outbox.take(transaction, limit=_MOST_EVENTS)
            ends = outbox.take_ends(transaction, limit=_MOST_EVENTS)
        if not taken and not ends:
            return
        if taken:
            with self._databases[roles.API].transactions.begin() as transaction:
                for event in taken:
                    mirror.note(transaction, event, role=self._role)
        for event in (*taken, *ends):
            connection.publish(events.to_cloud_event(event, role=self._role))
        self._sent = _Sent(connection, taken, ends)
        self._confirm(self._sent)

    def _confirm(self, sent: _Sent) -> bool:
        """Drop events that were sent, if the broker has confirmed them; else they are looked at again later."""
        if not sent.connection.is_clear():
            return False
        with self._databases[self._role].statements.begin() as transaction:
            outbox.drop(transaction, [event.id for event in sent.events])
            outbox.drop_ends(transaction, [end.subject for end in sent.ends])
        RELAYED.labels(self._role).inc(len(sent.events) + len(sent.ends))
        self._sent = None
        return True
