"""The chore of firing schedules: those that are due start runs of their pipelines."""

import prometheus_client

from shared import database
from shared.orchestration.schedules import firing

_SECONDS = 1.0
_AT_ONCE = 20
_MAX_ROUNDS = 50

LOOKED_AT = prometheus_client.Counter("millrace_schedules_fired_total", "Schedules that were due and were decided on.")


class FireSchedules:
    """Lets due schedules fire, some at a time."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines) -> None:
        """Fire the schedules in the orchestration role's database."""
        self._engines = engines

    def do(self) -> None:
        """Fire what is due; the rest of very many follows at the next turn."""
        for _ in range(_MAX_ROUNDS):
            with self._engines.transactions.begin() as transaction:
                count = firing.fire_due(transaction, limit=_AT_ONCE)
            LOOKED_AT.inc(count)
            if count < _AT_ONCE:
                return
