"""Ends the server's part of a query that nobody waits for any more.

PostgreSQL and MariaDB notice that a client is gone only when they send it rows, which a query that counts or sorts does
at its end. docs/decisions/ingestion.md, "A query that is given up is ended on its server"
"""

import dataclasses

import sqlalchemy as sa
import structlog

from shared import bounded

_log = structlog.get_logger()

END_SECONDS = 3
"""The longest wait for each answer of the server that is asked to end a session."""

_DESCRIBE = {
    "postgresql": "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity "
    "WHERE pid = pg_backend_pid()",
    "mysql": "SELECT connection_id(), concat(@@hostname, ':', @@port)",
}
# A login may end its own sessions on both, without any further right.
_END_POSTGRESQL = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = :number AND extract(epoch FROM backend_start)::text = :mark"
)
_FIND_MYSQL = sa.text(
    "SELECT 1 FROM information_schema.processlist WHERE id = :number AND :mark = concat(@@hostname, ':', @@port)"
)


@dataclasses.dataclass(frozen=True)
class Session:
    """A session of a server, with what tells it from one of the same number on another server or before a restart."""

    number: int
    mark: str


def describe(connection: sa.Connection) -> Session | None:
    """Ask a server for our session, which is not what the driver knows behind a pooler; None for a file."""
    statement = _DESCRIBE.get(_family(connection.dialect.name))
    if statement is None:
        return None
    number, mark = connection.execute(sa.text(statement), execution_options={"stream_results": False}).one()
    return Session(int(number), str(mark))


def end(session: Session, *, url: sa.URL, name: str) -> None:
    """End a session, if it is still there, by a second connection; what fails is logged without the address."""
    is_mysql = _family(url.get_backend_name()) == "mysql"
    engine = _create_mysql_engine(url) if is_mysql else _create_postgresql_engine(url)
    parameters = dataclasses.asdict(session)
    try:
        with engine.connect() as connection:
            if not is_mysql:
                connection.execute(_END_POSTGRESQL, parameters)
            elif connection.execute(_FIND_MYSQL, parameters).first():
                connection.exec_driver_sql(f"KILL {session.number}")
    except (sa.exc.SQLAlchemyError, OSError) as error:
        _log.warning("query_not_ended", connection=name, error=type(error).__name__)
    finally:
        engine.dispose()


def _family(dialect: str) -> str:
    return "mysql" if dialect == "mariadb" else dialect


def _create_postgresql_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={**bounded.tcp_options(seconds=END_SECONDS), "connect_timeout": END_SECONDS},
    )
    bounded.bind(engine, seconds=END_SECONDS)
    return engine


def _create_mysql_engine(url: sa.URL) -> sa.Engine:
    waits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), END_SECONDS)
    return sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"charset": "utf8mb4", "local_infile": False, **waits},
    )
