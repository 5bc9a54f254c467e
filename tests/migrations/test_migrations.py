"""Migrations go up and down, and leave the tables as the code has them, on both databases."""

import collections.abc
import pathlib
import uuid

import alembic.util
import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from migrations import command_line, stores
from shared import database, roles, settings


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def config(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> collections.abc.Iterator[settings.Settings]:
    """Yield settings whose databases do not exist yet."""
    if request.param == "sqlite":
        yield settings.Settings(home=tmp_path)
        return
    server = request.getfixturevalue("postgres")
    prefix = f"migrations_{uuid.uuid4().hex[:12]}"
    try:
        yield settings.Settings(home=tmp_path, database_url=server.url(prefix + "_{role}"))
    finally:
        server.drop_databases(prefix)


@pytest.mark.parametrize("store", roles.STORES)
def test_a_store_goes_up_down_and_up_again_without_drift(config: settings.Settings, store: str) -> None:
    command_line.upgrade(store, config=config)
    command_line.check(store, config=config)
    command_line.upgrade(store, config=config)
    command_line.downgrade(store, config=config, revision="base")
    with stores.connect(store, config=config) as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    command_line.upgrade(store, config=config)
    command_line.check(store, config=config)


def test_drift_is_found(config: settings.Settings) -> None:
    command_line.upgrade("evaluation", config=config)
    with stores.connect("evaluation", config=config) as connection:
        connection.execute(sa.text("ALTER TABLE evaluations ADD COLUMN mood TEXT"))
        connection.commit()
    with pytest.raises(alembic.util.CommandError, match="mood"):
        command_line.check("evaluation", config=config)


def test_the_indexes_are_partial_where_the_tables_say_so(config: settings.Settings) -> None:
    command_line.upgrade("training", config=config)
    with stores.connect("training", config=config) as connection:
        dialect = connection.dialect.name
        indexes = {index["name"]: index for index in sa.inspect(connection).get_indexes("jobs")}
    for name in ("ix_jobs_ring", "ix_jobs_lease", "uq_jobs_idempotency_key"):
        assert indexes[name]["dialect_options"][f"{dialect}_where"] is not None


_LEDGER_ROW = (
    "INSERT INTO deployment_changes (tenant_id, deployment, revision, action, changed_by, changed_at, sha256) "
    "VALUES ('acme', 'churn', 1, 'put', 'key_1', 0, 'a')"
)


@pytest.mark.parametrize("change", ["UPDATE deployment_changes SET reason = 'x'", "DELETE FROM deployment_changes"])
def test_nothing_changes_what_is_in_the_ledger_of_deployments(config: settings.Settings, change: str) -> None:
    command_line.upgrade("prediction", config=config)
    with stores.connect("prediction", config=config) as connection:
        connection.execute(sa.text(_LEDGER_ROW))
        connection.commit()
        changes = [change, "TRUNCATE deployment_changes"] if connection.dialect.name == "postgresql" else [change]
        for statement in changes:
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"):
                connection.execute(sa.text(statement))
            connection.rollback()
        assert connection.execute(sa.text("SELECT count(*) FROM deployment_changes")).scalar() == 1


def test_a_role_url_without_a_placeholder_gets_a_database_for_each_role() -> None:
    config = settings.Settings(database_url="postgresql://me@somewhere/millrace")
    assert database.url_of("training", config=config).database == "millrace_training"
