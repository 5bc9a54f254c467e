"""The chore of firing schedules: those that are due start runs of their pipelines."""

import time

import prometheus_client

from shared import database, settings
from shared.orchestration.schedules import firing

_SECONDS = 1.0
_BUDGET_SECONDS = 5.0
"""How long schedules fire before the role's other chores have their turn."""

LOOKED_AT = prometheus_client.Counter("millrace_schedules_fired_total", "Schedules that were due and were decided on.")


class FireSchedules:
    """Lets due schedules fire."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, *, config: settings.Settings) -> None:
        """Fire the schedules in the orchestration role's database."""
        self._engines = engines
        self._max_queued = config.max_queued_per_tenant

    def do(self) -> None:
        """Fire what is due, each schedule in a transaction of its own; what is left of many has its turn later."""
        until = time.monotonic() + _BUDGET_SECONDS
        while time.monotonic() < until:
            with self._engines.transactions.begin() as transaction:
                has_fired = firing.fire_next(transaction, max_queued=self._max_queued)
            if not has_fired:
                return
            LOOKED_AT.inc()
