"""The chore of winding up runs that have ended before their steps, because they were cancelled, late or lost.

It also forgets those whose jobs were deleted as old ones.
"""

import structlog

from shared import database
from shared.orchestration import runs

_log = structlog.get_logger()
_WIND_UP = "orchestration.wind_up"
_FORGET_EVERY = 600


class AbandonedRuns:
    """Submits a job for each, which cancels what is left of the run."""

    seconds = 1.0

    def __init__(self, engines: database.Engines) -> None:
        """Look into the orchestration role's database."""
        self._engines = engines
        self._turns = 0

    def do(self) -> None:
        """Look once."""
        with self._engines.transactions.begin() as connection:
            found = runs.wind_up_abandoned(connection, kind=_WIND_UP)
        for run_id in found:
            _log.info("run_abandoned", job_id=run_id)
        self._turns += 1
        if self._turns % _FORGET_EVERY == 1:
            with self._engines.transactions.begin() as connection:
                runs.forget_deleted(connection)
