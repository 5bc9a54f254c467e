"""What the sweeper asks twice a second reads few rows, however many events and deliveries there are of others."""

import re
from typing import Any

import pytest
import sqlalchemy as sa

from shared import database
from shared.webhooks import deliveries, matching
from tests.unit.rig import empty
from tests.unit.shared.webhooks.rows import DELIVERIES, Rows

_EVENTS = """
INSERT INTO events (position, id, role, tenant_id, type, subject, correlation_id, data, created_at, logged_at)
SELECT 100 + n, 'e' || n, 'training', 'busy', 'job.failed', 'x', 'x', '{}', 0, 0 FROM generate_series(1, 20000) AS n
"""
_WAITING = """
INSERT INTO webhook_deliveries (id, tenant_id, webhook_id, event_id, type, subject, state, attempts, leases,
  leased_until, due_at, created_at)
SELECT 'd' || n, 'busy', :webhook, 'e' || n, 'job.failed', 'x', 'pending', 1, 1, 0, 9999999999999, 0
FROM generate_series(1, 5000) AS n
"""


@pytest.mark.servers
def test_a_look_at_what_is_new_and_due_reads_no_rows_of_others(postgresql_engines: database.Engines) -> None:
    empty(postgresql_engines)
    rows = Rows(postgresql_engines)
    rare, busy = rows.add_webhook(tenant_id="rare"), rows.add_webhook(tenant_id="busy", position=20_100)
    rows.log("job.failed", tenant_id="rare")
    rows.match(rare)
    with postgresql_engines.statements.connect() as connection:
        connection.execute(sa.text(_EVENTS))
        connection.execute(sa.text(_WAITING), {"webhook": busy.webhook_id})
        rows.change(DELIVERIES, rows.deliveries(rare)[0].id, state="delivered")
        connection.execute(sa.text("ANALYZE events"))
        connection.execute(sa.text("ANALYZE webhook_deliveries"))
        for act in (matching.list_behind, deliveries.list_due):
            plan = explain(connection, act)
            assert [key.webhook_id for key in act(connection)] == []
            removed = [int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
            read = [int(count) for count in re.findall(r"actual time=\S+ rows=(\d+)", plan)]
            assert max([*removed, *read]) <= 2, plan


def explain(connection: sa.Connection, act: Any) -> str:
    """Let a function read, and return the plan of its statement as it was carried out."""
    seen: list[tuple[str, Any]] = []

    def catch(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", catch)
    act(connection)
    sa.event.remove(connection, "before_cursor_execute", catch)
    [(statement, parameters)] = seen
    lines = connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", parameters)
    return "\n".join(row[0] for row in lines)
