"""The chore of pruning the event log: what is older than it has to be kept goes, once everybody has read it."""

from shared import database, settings
from shared.events import log

_SECONDS = 30.0
_AT_ONCE = 1000
_MAX_ROUNDS = 50
_DAY_SECONDS = 24 * 3600


class PruneEvents:
    """Deletes old events, some at a time."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, *, config: settings.Settings) -> None:
        """Prune the log in the API's database."""
        self._engines = engines
        self._retention_seconds = config.event_retention_days * _DAY_SECONDS

    def do(self) -> None:
        """Delete what is too old; the rest of much follows at the next turn."""
        for _ in range(_MAX_ROUNDS):
            with self._engines.transactions.begin() as transaction:
                deleted = log.prune(transaction, retention_seconds=self._retention_seconds, limit=_AT_ONCE)
            if deleted < _AT_ONCE:
                return
