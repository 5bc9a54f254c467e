"""The prediction role's own tables in the databases of the unit tests, empty before each test."""

import pytest
import sqlalchemy as sa

from shared import database
from shared.prediction import tables

_OWN = [
    *(tables.deployments, tables.deployment_versions, tables.deployment_changes, tables.prediction_keys),
    *(tables.exposures, tables.served_counts, tables.taken_segments, tables.feedback, tables.canary_checks),
    *(tables.inference_copies, tables.shadow_batches, tables.shadow_sums, tables.deployment_lookups),
    *(tables.prediction_log_batches, tables.prediction_log_files, tables.prediction_log_losses),
]


@pytest.fixture
def prediction_engines(engines: database.Engines) -> database.Engines:
    """Return a database with the tables of deployments, on SQLite and on PostgreSQL in turn."""
    tables.metadata.create_all(engines.transactions, tables=_OWN)
    with engines.transactions.begin() as connection:
        for table in _OWN:
            connection.execute(sa.delete(table))
    return engines
