"""The chore of tidying: expired idempotency keys, and workers that are long gone."""

from shared import database, settings
from shared.jobs import ledger, workers

_SECONDS = 60.0
_MAX_KEYS = 1000


class Tidy:
    """Frees expired idempotency keys, and removes workers that are long gone from the registry."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines, *, config: settings.Settings) -> None:
        """Tidy one role's database."""
        self._engines = engines
        self._config = config

    def do(self) -> None:
        """Tidy once."""
        while self._free_keys() == _MAX_KEYS:
            pass
        with self._engines.transactions.begin() as connection:
            workers.remove_gone(connection, beat_seconds=self._config.beat_seconds)

    def _free_keys(self) -> int:
        seconds = self._config.idempotency_hours * 3600
        with self._engines.transactions.begin() as connection:
            return ledger.free_idempotency_keys(connection, older_than_seconds=seconds, limit=_MAX_KEYS)
