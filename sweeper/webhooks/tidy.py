"""The chore of removing deliveries that ended long ago, and webhooks that were deleted."""

from shared import database, settings
from shared.webhooks import retention

_SECONDS = 30.0
_MOST = 1000
_MAX_DELETED = 50
"""So many batches of deleted webhooks are removed at a time."""


class TidyWebhooks:
    """Removes deliveries after MILLRACE_WEBHOOK_RETENTION_DAYS, and all those of deleted webhooks, some at a time."""

    def __init__(self, engines: database.Engines, *, config: settings.Settings) -> None:
        """Tidy the API's database."""
        self.seconds = _SECONDS
        self._engines = engines
        self._retention_seconds = config.webhook_retention_days * 86_400

    def do(self) -> None:
        """Remove a batch; the next one soon, where there may be more."""
        with self._engines.transactions.begin() as connection:
            old = retention.remove_old(connection, retention_seconds=self._retention_seconds, limit=_MOST)
        for _ in range(_MAX_DELETED):
            with self._engines.transactions.begin() as connection:
                has_more = retention.remove_deleted(connection, limit=_MOST)
            if not has_more:
                break
        self.seconds = 1.0 if old == _MOST or has_more else _SECONDS
