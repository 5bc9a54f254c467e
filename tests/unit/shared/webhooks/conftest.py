"""The API's tables, empty, on SQLite and on PostgreSQL in turn."""

import pytest

from shared import database
from tests.unit.shared.webhooks.rows import Rows


@pytest.fixture
def rows(engines: database.Engines) -> Rows:
    """Return empty tables with an empty event log."""
    return Rows(engines)
