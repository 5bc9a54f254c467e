"""The chore of matching: makes the deliveries of new events for each webhook that wants them."""

import prometheus_client
import structlog

from shared import database
from shared.webhooks import matching

_log = structlog.get_logger()
_SECONDS = 0.5

MADE = prometheus_client.Counter("millrace_webhook_deliveries_total", "Deliveries that events have made.")


class MatchWebhooks:
    """Moves each webhook on in the event log; a webhook that another sweeper moves meanwhile is left to that one."""

    seconds = _SECONDS

    def __init__(self, engines: database.Engines) -> None:
        """Match in the API's database."""
        self._engines = engines

    def do(self) -> None:
        """Match once."""
        with self._engines.statements.connect() as connection:
            behind = matching.list_behind(connection)
        for key in behind:
            try:
                with self._engines.transactions.begin() as connection:
                    MADE.inc(matching.match(connection, key))
            except database.FAULTS:
                raise
            except Exception as error:  # noqa: BLE001 - what is wrong with one webhook must not stop the others.
                _log.warning("webhook_not_matched", webhook=key.webhook_id, error=type(error).__name__)
