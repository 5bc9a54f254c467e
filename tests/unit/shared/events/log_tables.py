"""An empty event log in the databases of the unit tests."""

import pytest
import sqlalchemy as sa

from shared.catalog import api_tables
from tests.unit.rig import Rig


def begin_log(rig: Rig) -> Rig:
    """Begin an event log in the database of a rig, and return the rig."""
    heads = [{"name": "log", "position": 0}, {"name": "pruned", "position": 0}]
    exchange = {"name": "exchange", "position": 0, "leased_until": 0}
    with rig.engines.transactions.begin() as connection:
        connection.execute(sa.insert(api_tables.event_heads), heads)
        connection.execute(sa.insert(api_tables.event_cursors), [exchange])
    return rig


@pytest.fixture
def log_rig(rig: Rig) -> Rig:
    """Return the rig of a database with an empty event log, on SQLite and on PostgreSQL in turn."""
    return begin_log(rig)
