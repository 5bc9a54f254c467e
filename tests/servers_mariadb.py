"""MariaDB or MySQL for tests: one that is there; no wheel carries it, and none is started here."""

import os
import secrets
from typing import Any

import sqlalchemy as sa

from tests import servers_process, servers_sources
from tests.servers_sources import ServerNotFoundError

URL_VARIABLE = "MILLRACE_TEST_MYSQL_URL"
DEFAULT_URL = "mysql://root@127.0.0.1:3306/"
REMEDY = f"Set {URL_VARIABLE} to somebody who may create databases, or start MariaDB on port 3306."


class MariaDB(servers_process.Closing):
    """A running MariaDB or MySQL with a database of the test's own."""

    def __init__(self, url: str) -> None:
        """Make a database; raises ServerNotFoundError when nobody answers."""
        self._url = sa.make_url(url)
        self.name = f"millrace_test_{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")

    @property
    def url(self) -> str:
        """The database's address."""
        return self._url.set(database=self.name).render_as_string(hide_password=False)

    def run(self, *statements: str) -> Any:
        """Run statements as the administrator; gives the rows of the last."""
        engine = sa.create_engine(
            self._url.set(drivername="mysql+pymysql"),
            connect_args={"connect_timeout": 2},
            isolation_level="AUTOCOMMIT",
            poolclass=sa.pool.NullPool,
            execution_options={"no_parameters": True},
        )
        try:
            with engine.connect() as connection:
                for statement in statements:
                    result = connection.exec_driver_sql(statement)
                return [tuple(row) for row in result] if result.returns_rows else []
        except sa.exc.OperationalError as error:
            raise ServerNotFoundError(f"no MariaDB ({error.orig}). {REMEDY}") from error

    def close(self) -> None:
        """Remove the database."""
        self.run(f"DROP DATABASE IF EXISTS {self.name}")


def find() -> MariaDB:
    """Find a server; raises ServerNotFoundError."""
    url = os.environ.get(URL_VARIABLE, "")
    if not url and servers_sources.Source.DEFAULT_PORT not in servers_sources.allowed():
        raise ServerNotFoundError(f"no MariaDB (MILLRACE_TEST_SOURCES leaves none to try). {REMEDY}")
    return MariaDB(url or DEFAULT_URL)
