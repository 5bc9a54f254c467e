"""Webhooks, events and deliveries as rows, for the tests of what moves them."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database, ids, settings
from shared.catalog import api_tables
from shared.events import log
from shared.jobs import outbox
from shared.webhooks import deliveries, health, matching
from shared.webhooks.deliveries import Leased
from shared.webhooks.matching import Key
from shared.webhooks.schedule import Outcome
from shared.webhooks.states import DeliveryState

TENANT = "acme"
CONFIG = settings.Settings(webhook_key="a key of the tests")
WEBHOOKS, DELIVERIES = api_tables.webhooks, api_tables.webhook_deliveries


class Rows:
    """The API's tables in one database."""

    def __init__(self, engines: database.Engines) -> None:
        self.engines = engines
        heads = api_tables.event_heads
        with engines.transactions.begin() as connection:
            for name in ("log", "pruned"):
                insert = database.insert(connection, heads).values(name=name, position=0)
                connection.execute(insert.on_conflict_do_nothing())

    def run(self, act: Any, *arguments: Any, **named: Any) -> Any:
        """Do one thing in a transaction of its own."""
        with self.engines.transactions.begin() as connection:
            return act(connection, *arguments, **named)

    def add_webhook(self, *, tenant_id: str = TENANT, **values: Any) -> Key:
        """Add a webhook that has seen nothing."""
        row = {
            "id": ids.new_ulid(),
            "tenant_id": tenant_id,
            "name": f"hook-{ids.new_ulid().lower()}",
            "url": "https://example.org/hook",
            "types": [],
            "state": "enabled",
            "revision": 1,
            "salt": "salt",
            "earlier_salts": [],
            "position": 0,
            "paused_until": 0,
            "throttles": 0,
            "created_by": "key_1",
            "created_at": 0,
            "updated_at": 0,
            **values,
        }
        self.run(lambda connection: connection.execute(sa.insert(WEBHOOKS).values(**row)))
        return Key(tenant_id, row["id"])

    def log(self, *types: str, tenant_id: str = TENANT, subject: str = "training_1") -> list[str]:
        """Log events; gives their ids."""
        events = [
            outbox.OutgoingEvent(
                id=ids.new_ulid(),
                tenant_id=tenant_id,
                type=type_,
                subject=subject,
                data={"number": number},
                created_at=1_700_000_000_000,
                correlation_id="story",
            )
            for number, type_ in enumerate(types)
        ]
        self.run(log.append, events, role="training")
        return [event.id for event in events]

    def match(self, key: Key) -> int:
        """Make deliveries of the next events."""
        made: int = self.run(matching.match, key)
        return made

    def lease(self, key: Key) -> Leased | None:
        """Lease a delivery."""
        leased: Leased | None = self.run(deliveries.lease, key, config=CONFIG)
        return leased

    def take(self, key: Key) -> Leased:
        """Lease a delivery, which must be there."""
        leased = self.lease(key)
        assert leased is not None
        return leased

    def finish(self, leased: Leased, outcome: Outcome) -> DeliveryState | None:
        """Write down an outcome, as the deliverer does."""
        ended: health.Ended = self.run(health.end_attempt, leased, outcome)
        return ended.state

    def webhook(self, key: Key) -> Any:
        """Read a webhook's row."""
        with self.engines.statements.connect() as connection:
            return connection.execute(sa.select(WEBHOOKS).where(WEBHOOKS.c.id == key.webhook_id)).one()

    def deliveries(self, key: Key) -> list[Any]:
        """Read a webhook's deliveries in the order in which they were made."""
        query = sa.select(DELIVERIES).where(DELIVERIES.c.webhook_id == key.webhook_id).order_by(DELIVERIES.c.id)
        with self.engines.statements.connect() as connection:
            return list(connection.execute(query))

    def change(self, table: sa.Table, row_id: str, **values: Any) -> None:
        """Write columns behind everybody's back, mostly to let time pass."""
        self.run(lambda connection: connection.execute(sa.update(table).where(table.c.id == row_id).values(**values)))

    def now(self) -> int:
        """Read the database's clock."""
        with self.engines.statements.connect() as connection:
            return clock.read(connection)
