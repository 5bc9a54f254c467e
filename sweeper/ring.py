"""The chore of ringing again for queued jobs whose doorbell may be lost."""

from shared import database, settings
from shared.jobs import ledger, workers
from shared.queues import broker
from sweeper.line import Line

_LEAST_BELLS = 8


class Ring:
    """Rings for as many waiting jobs as the live workers can do at once, since each worker finds more by itself."""

    def __init__(self, role: str, engines: database.Engines, *, config: settings.Settings, line: Line) -> None:
        """Ring for one role."""
        self._role = role
        self._engines = engines
        self._config = config
        self._line = line
        self.seconds = config.ring_seconds

    def do(self) -> None:
        """Ring once, unless the broker has not confirmed yet what was published before."""
        connection = self._line.open()
        if not connection.is_clear():
            return
        waiting = broker.depth(connection.channel, self._role, config=self._config)
        with self._engines.transactions.begin() as transaction:
            capacity = workers.count_slots(transaction, beat_seconds=self._config.beat_seconds)
            room = max(_LEAST_BELLS, 2 * capacity) - waiting
            if room <= 0:
                return
            bells = ledger.take_due_doorbells(transaction, again_seconds=self._config.ring_again_seconds, limit=room)
        for bell in bells:
            connection.ring(bell)
        connection.is_clear()
