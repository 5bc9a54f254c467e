"""The stores that have migrations: the roles' databases and the API's."""

import contextlib
import importlib
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
import sqlalchemy.exc
from alembic.config import Config

from shared import bounded, database, roles, settings

_FOLDER = pathlib.Path(__file__).parent
_UNACKNOWLEDGED_SECONDS = 60.0
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9_-]{1,63}$")


def metadata_of(store: str) -> sa.MetaData:
    """Import a store's tables."""
    module = "shared.catalog.api_tables" if store == roles.API else f"shared.{store}.tables"
    metadata: sa.MetaData = importlib.import_module(module).metadata
    return metadata


def folder_of(store: str) -> pathlib.Path:
    """Return the folder of a store's revisions."""
    return _FOLDER / store


def config_for(store: str, *, connection: sa.Connection | None = None) -> Config:
    """Build Alembic's configuration for a store."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("version_locations", str(folder_of(store)))
    config.set_main_option("path_separator", "os")
    config.attributes.update(store=store, connection=connection)
    return config


@contextlib.contextmanager
def connect(store: str, *, config: settings.Settings) -> Iterator[sa.Connection]:
    """Connect to a store's database; create it first if it doesn't exist."""
    url = database.url_of(store, config=config)
    path = database.sqlite_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=True)
    engine = _create_engine(url)
    try:
        _create_database_if_missing(engine, url)
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _create_engine(url: sa.URL, **options: Any) -> sa.Engine:
    # A migration may take as long as it needs; a host that is gone ends it all the same.
    if url.get_backend_name() == "postgresql":
        options["connect_args"] = bounded.tcp_options(seconds=_UNACKNOWLEDGED_SECONDS)
    return sa.create_engine(url, poolclass=sa.NullPool, **options)


def _create_database_if_missing(engine: sa.Engine, url: sa.URL) -> None:
    if url.get_backend_name() != "postgresql":
        return
    try:
        engine.connect().close()
        return
    except sqlalchemy.exc.OperationalError as error:
        if "does not exist" not in str(error):
            raise
    if not url.database or not _PLAIN_NAME.match(url.database):
        raise ValueError(f"{url.database!r} can't be created: a database's name has only letters, digits, '_' and '-'")
    maintenance = _create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    # From template0, because template1 can't be copied while anybody is connected to it.
    with maintenance.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{url.database}" TEMPLATE template0'))
    maintenance.dispose()
