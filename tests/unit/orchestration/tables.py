"""The orchestration role's own tables in the databases of the unit tests, empty before each test."""

import pytest
import sqlalchemy as sa

from shared.orchestration import tables
from tests.unit.rig import Rig

_OWN = [
    *(tables.pipelines, tables.pipeline_versions, tables.runs, tables.run_steps),
    *(tables.schedules, tables.schedule_firings),
]


@pytest.fixture
def orchestration_rig(rig: Rig) -> Rig:
    """Return the rig of a database with the tables of pipelines, on SQLite and on PostgreSQL in turn."""
    tables.metadata.create_all(rig.engines.transactions, tables=_OWN)
    with rig.engines.transactions.begin() as connection:
        for table in _OWN:
            connection.execute(sa.delete(table))
    return rig
