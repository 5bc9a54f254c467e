"""Takes a role's database away from a running system, and gives it back."""

import contextlib
from collections.abc import Iterator

import pytest

from tests import servers_postgres
from tests.system.rig import Rig


@contextlib.contextmanager
def database_read_only(rig: Rig, role: str, postgres: servers_postgres.PrivatePostgres) -> Iterator[None]:
    """Let a role's database refuse writes while the block lasts, as after a failover, and end its connections first.

    Those that are opened meanwhile stay read-only for good, as those to a server that is no longer the primary.
    """
    name = rig.config.database_url.rpartition("/")[2].replace("{role}", role)
    postgres.query(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    postgres.query(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        postgres.query(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        for engine in (rig.databases[role].statements, rig.databases[role].transactions):
            engine.dispose()


@contextlib.contextmanager
def database_gone(rig: Rig, role: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Take a role's database away while the block lasts."""
    if rig.config.database_url:
        postgres: servers_postgres.PrivatePostgres = request.getfixturevalue("private_postgres")
        name = rig.config.database_url.rpartition("/")[2].replace("{role}", role)
        postgres.query(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        postgres.query(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            yield
        finally:
            postgres.query(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        return
    rig.databases[role].statements.dispose()
    rig.databases[role].transactions.dispose()
    moved = [(path, rig.home / path.name) for path in (rig.home / "databases").glob(f"{role}.sqlite3*")]
    for path, elsewhere in moved:
        path.rename(elsewhere)
    try:
        yield
    finally:
        for path, elsewhere in moved:
            elsewhere.rename(path)
