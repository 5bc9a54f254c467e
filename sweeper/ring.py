"""The chore of ringing again for queued jobs whose doorbell may be lost."""

from shared import database, settings
from shared.jobs import ledger, workers
from shared.queues import broker
from sweeper.publisher import Connector

_MIN_DOORBELLS = 8


class Ring:
    """Rings for as many waiting jobs as the live workers can do at once, since each worker finds more by itself.

    See docs/decisions/queues.md, "A bell wakes a worker, and an awake worker finds the rest".
    """

    def __init__(
        self, role: str, engines: database.Engines, *, config: settings.Settings, connector: Connector
    ) -> None:
        """Ring for one role."""
        self._role = role
        self._engines = engines
        self._config = config
        self._connector = connector
        self.seconds = config.ring_seconds

    def do(self) -> None:
        """Ring once, unless the broker has not confirmed yet what was published before."""
        publisher = self._connector.open()
        if not publisher.is_clear():
            return
        waiting = broker.look(publisher.channel, self._role, config=self._config).doorbells
        with self._engines.transactions.begin() as transaction:
            slots = workers.count_slots(transaction, beat_seconds=self._config.beat_seconds)
            lacking = max(_MIN_DOORBELLS, 2 * slots) - waiting
            if lacking <= 0:
                return
            again_seconds = self._config.ring_again_seconds
            doorbells = ledger.take_due_doorbells(transaction, again_seconds=again_seconds, limit=lacking)
        for doorbell in doorbells:
            publisher.ring(doorbell)
        publisher.is_clear()
