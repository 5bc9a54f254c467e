"""The chore of relaying: what a role has committed goes to the event log and to the API's mirror of names."""

import operator

import prometheus_client

from shared import database, roles
from shared.catalog import mirror
from shared.events import log
from shared.jobs import outbox

_SECONDS = 0.25
_MAX_EVENTS = 1000
_MAX_ROUNDS = 20
"""So many batches are relayed in one go while there are more, before the role's other chores have their turn."""

RELAYED = prometheus_client.Counter("millrace_events_relayed_total", "Events that the event log took.", ["role"])


class Relay:
    """Appends committed events to the log, notes versions in the mirror of names, and then drops the events.

    docs/decisions/events.md, "One log, whose readers keep their own place in it".
    """

    seconds = _SECONDS

    def __init__(self, role: str, databases: database.Databases) -> None:
        """Relay what one role has committed."""
        self._role = role
        self._databases = databases

    def do(self) -> None:
        """Relay what there is, a batch at a time."""
        for _ in range(_MAX_ROUNDS):
            if not self._has_any() or not self._relay_batch():
                return

    def _has_any(self) -> bool:
        """Return whether there is anything to relay, without holding up those who are relaying it."""
        with self._databases[self._role].statements.connect() as connection:
            return bool(outbox.read(connection, limit=1) or outbox.read_ends(connection, limit=1))

    def _relay_batch(self) -> bool:
        """Relay one batch; return whether there may be more."""
        engines = self._databases[self._role]
        with self._databases[roles.API].transactions.begin() as transaction:
            if not log.hold_relay(transaction, self._role):
                return False
            # Read only now, so that of two sweepers none appends what the other one has read later.
            with engines.statements.connect() as connection:
                committed = outbox.read(connection, limit=_MAX_EVENTS)
                ends = outbox.read_ends(connection, limit=_MAX_EVENTS)
            for event in committed:
                mirror.note(transaction, event, role=self._role)
            in_order = sorted([*committed, *ends], key=operator.attrgetter("created_at"))
            log.append(transaction, in_order, role=self._role)
        if not in_order:
            return False
        with engines.transactions.begin() as transaction:
            outbox.drop(transaction, [event.id for event in committed])
            outbox.drop_ends(transaction, [end.subject for end in ends])
        RELAYED.labels(self._role).inc(len(in_order))
        return max(len(committed), len(ends)) == _MAX_EVENTS
