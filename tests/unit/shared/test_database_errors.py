"""An error of a database shows no SQL, no parameter and no row, wherever it goes."""

import io
import json
import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import duckdb
import hypothesis
import psycopg
import pytest
import sqlalchemy as sa
import structlog
from hypothesis import strategies

from shared import database, errors, telemetry
from shared.jobs import tables

SECRET = "s3cret-Värde"
Failure = Callable[[sa.Connection, str], Any]


def insert_twice(connection: sa.Connection, secret: str) -> None:
    """Break a primary key; PostgreSQL tells the key in its error."""
    connection.execute(sa.text("CREATE TEMPORARY TABLE twice (id VARCHAR(100) PRIMARY KEY)"))
    for _ in range(2):
        connection.execute(sa.text("INSERT INTO twice VALUES (:id)"), {"id": secret})


FAILURES: dict[str, Failure] = {
    "a row twice": insert_twice,
    "no such table": lambda connection, secret: connection.execute(sa.text(f'SELECT * FROM "{secret}"')),
    "no such column": lambda connection, secret: connection.execute(
        sa.text("SELECT jobs.nothing FROM jobs WHERE id = :id"), {"id": secret}
    ),
    "bad SQL": lambda connection, secret: connection.execute(sa.text(f"SELEC '{secret}'")),
    "a text that is a number": lambda connection, secret: connection.execute(
        sa.select(sa.cast(sa.literal(secret), sa.Integer) / sa.literal(0), sa.text("nothing_of_this_name"))
    ),
    "a parameter that no driver takes": lambda connection, secret: connection.execute(
        sa.text("SELECT :it"), {"it": {secret: {secret}}}
    ),
    "a parameter that is missing": lambda connection, secret: connection.execute(
        sa.text("SELECT :it, :that"), {"it": secret}
    ),
    "a document that is none": lambda connection, secret: connection.execute(
        sa.select(sa.literal({secret: {secret}}, sa.JSON))
    ),
    "an integer of 65 bits": lambda connection, secret: connection.execute(
        sa.select(tables.jobs.c.id).where(tables.jobs.c.id == secret, tables.jobs.c.version == 2**70)
    ),
}


def raised(engines: database.Engines, failure: Failure, secret: str) -> BaseException:
    """Make a statement fail, and return its error."""
    with (
        pytest.raises(Exception) as caught,  # noqa: PT011 - what the databases raise differs, and that is the point.
        engines.transactions.connect() as connection,
    ):
        failure(connection, secret)
    return caught.value


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_no_error_of_ours_shows_a_statement(engines: database.Engines, failure: Failure) -> None:
    error = raised(engines, failure, SECRET)
    document = errors.to_document(error)
    for shown in (f"{error}", f"{error!r}", json.dumps(document, ensure_ascii=False)):
        for secret in (SECRET, "SELECT", "INSERT", "jobs", "psycopg", "sqlite"):
            assert secret.lower() not in shown.lower(), shown
    assert document["message"].startswith("The database failed at a statement (")


@hypothesis.given(secret=strategies.text(strategies.characters(codec="utf-8"), min_size=9, max_size=40))
@hypothesis.settings(
    max_examples=25, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_no_text_of_any_kind_is_shown(engines: database.Engines, secret: str) -> None:
    for failure in FAILURES.values():
        error = raised(engines, failure, secret)
        assert secret not in f"{error} {error!r} {errors.to_document(error)}"


def test_the_driver_s_error_stays_at_hand_for_its_code(engines: database.Engines) -> None:
    error: Any = raised(engines, insert_twice, SECRET)
    assert isinstance(error, sa.exc.IntegrityError)
    assert isinstance(error.orig, psycopg.errors.UniqueViolation | sqlite3.IntegrityError)


OF_OTHERS = [
    psycopg.errors.UniqueViolation(f"Key ({SECRET})"),
    sqlite3.OperationalError(f"near {SECRET}"),
    duckdb.ParserException(f"near {SECRET}"),
    sa.exc.NoResultFound(SECRET),
    sa.exc.DataError(f"INSERT {SECRET}", {"a": SECRET}, ValueError(SECRET)),
]


@pytest.mark.parametrize("error", OF_OTHERS, ids=lambda error: type(error).__name__)
def test_an_error_that_no_engine_of_ours_raised_is_described_alike(error: BaseException) -> None:
    document = errors.to_document(error)
    assert SECRET not in f"{document}"
    assert document["type"] == "DatabaseError"


def test_a_library_s_log_of_an_exception_holds_its_class_and_stack_and_not_its_message() -> None:
    telemetry.configure()
    [handler] = logging.getLogger().handlers
    stream = io.StringIO()
    logger = logging.Logger("library")
    kept = logging.StreamHandler(stream)
    kept.setFormatter(handler.formatter)
    logger.addHandler(kept)
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise sa.exc.DataError("INSERT", {"a": SECRET}, error) from error
    except sa.exc.DataError:
        logger.exception("It failed")
    finally:
        structlog.reset_defaults()
    [line] = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event["error"] == "DataError"
    assert event["stack"]
    assert SECRET not in line
