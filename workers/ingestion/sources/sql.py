"""Fetches the rows that a query returns, from a database that the operator has named.

docs/decisions/ingestion.md, "SQL sources are read-only three times"
"""

import contextlib
import decimal
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared import errors, faults, settings
from shared.ingestion import connections, sources
from shared.progress import Progress, no_progress
from workers.ingestion import decimals, values
from workers.ingestion.limits import Limits
from workers.ingestion.names import resolve_names
from workers.ingestion.sources import databases, fetched_file, sql_query, typed_rows

# The rows to fetch from the server's cursor at once, and the rows of one batch of the file.
FETCH_ROWS = 500
BATCH_ROWS = 10_000
SHOWN_CHARACTERS = 500
# How long the database may take to count the rows that a watermark leaves out.
COUNT_SECONDS = 30.0

# The databases' codes for a statement that took too long: SQLSTATE or number.
TIMEOUT_CODES = frozenset({"57014", 1969, 3024})
# Their codes and phrases for a statement that would write.
WRITE_CODES = frozenset({"25006", 1290, 1792, 1836})
WRITE_PHRASES = ("not authorized", "readonly database", "data-modifying")


def fetch(
    source: sources.SqlSource,
    *,
    tenant_id: str,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    watermark: fetched_file.WatermarkFilter | None = None,
    report: Progress = no_progress,
) -> fetched_file.FetchedFile:
    """Run a query and write its rows as typed Parquet; with a watermark, only the rows from it on, in its order.

    Raises PermanentError with the database's message, RetryableError for temporary errors, BadDataError for values
    that no column can hold. No message and no log shows the database's login; its host and port only where it can't be
    reached.
    """
    database = connections.find_database(config.ingestion_connections, source.connection, tenant_id=tenant_id)
    seconds = config.ingestion_source_seconds
    with databases.open_connection(database, name=source.connection, seconds=seconds) as connection:
        databases.check_query(connection, source.query)
        with _translate_errors(source, database=database, seconds=seconds):
            reading = _Reading(connection, source, watermark=watermark, seconds=seconds, limits=limits)
            table = reading.read(scratch, report=report)
            selection = reading.describe_selection()
    return fetched_file.FetchedFile(
        path=table.finish(),
        format="parquet",
        compression="none",
        lineage=_build_lineage(source, watermark=watermark),
        notes=[*reading.notes, *table.notes()],
        rows=table.rows,
        selection=selection,
    )


class _Reading:
    """One query while its rows are read."""

    def __init__(
        self,
        connection: sa.Connection,
        source: sources.SqlSource,
        *,
        watermark: fetched_file.WatermarkFilter | None,
        seconds: float,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._connection_name = source.connection
        self._watermark = watermark
        self._seconds = seconds
        self._limits = limits
        self._deadline = time.monotonic() + seconds
        self._builder = sql_query.QueryBuilder(connection, source, watermark=watermark)
        self._greatest: Any = None
        self.notes: list[str] = []

    def read(self, scratch: Path, *, report: Progress) -> typed_rows.TypedRows:
        """Run the query and write its rows."""
        query = self._builder.build()
        options = {"yield_per": FETCH_ROWS}
        result = self._connection.execute(query.bind(), query.params, execution_options=options)
        with databases.closing(result):
            if not result.returns_rows:
                raise errors.PermanentError(f"The query returns no rows; {databases.ONE_SELECT}")
            names, self.notes = resolve_names(list(result.keys()), limits=self._limits)
            position = None
            if self._watermark is not None:
                _check_watermark(result, self._watermark, names=names)
                position = names.index(self._watermark.column) if query.is_ordered else None
            table = typed_rows.TypedRows(scratch, names=names, limits=self._limits)
            with contextlib.closing(table):
                for batch in self._iterate_batches(result):
                    table.append(batch)
                    if position is not None:
                        present = (row[position] for row in reversed(batch) if row[position] is not None)
                        self._greatest = next(present, self._greatest)
                    report(0.0, f"reading, row {table.rows:,}")
        return table

    def describe_selection(self) -> fetched_file.DatabaseSelection | None:
        """Count the rows that were left out, and say which value is the greatest; None without a watermark."""
        if self._watermark is None:
            return None
        greatest = self._greatest if isinstance(self._greatest, str) else None
        if self._watermark.value is None:
            return fetched_file.DatabaseSelection(greatest)
        query = self._builder.build_count(self._watermark)
        databases.limit_count(self._connection, seconds=min(COUNT_SECONDS, self._compute_remaining()))
        try:
            result = self._connection.execute(query.bind(), query.params, execution_options=databases.UNSTREAMED)
            ((rows, below),) = result.fetchall()
        except sa.exc.DBAPIError as error:
            if not _is_timeout(error):
                raise
            return fetched_file.DatabaseSelection(greatest, below=None)
        return fetched_file.DatabaseSelection(greatest, below=int(below), missing=int(rows) - int(below))

    def _iterate_batches(self, result: sa.CursorResult[Any]) -> Iterator[list[Any]]:
        """Iterate over the rows in batches; PermanentError when the time is up."""
        batch: list[Any] = []
        for rows in result.partitions(FETCH_ROWS):
            batch += rows
            databases.limit_next_statement(self._connection, seconds=self._compute_remaining())
            if len(batch) >= BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _compute_remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise _timeout_error(self._seconds, connection_name=self._connection_name)
        return remaining


def _check_watermark(
    result: sa.CursorResult[Any], watermark: fetched_file.WatermarkFilter, *, names: list[str]
) -> None:
    """Refuse a watermark with which the database would leave out new rows."""
    if watermark.column not in names:
        raise errors.BadDataError(f"The query has no column {watermark.column!r}, which is the watermark's.")
    exact = databases.EXACT_NUMBERS.get(result.dialect.name, set())
    numbers = exact | databases.OTHER_NUMBERS.get(result.dialect.name, set())
    type_code = result.cursor.description[names.index(watermark.column)][1]
    # Text sorts differently from the numbers that it was made of.
    if (
        type_code in numbers
        if isinstance(watermark.value, str)
        else type_code in exact and _may_be_rounded(watermark.value)
    ):
        raise errors.BadDataError(
            f"Column {watermark.column!r} holds numbers, which the latest version keeps as text or rounded "
            f"(up to {watermark.value!r}), so new rows can't be told from old ones. Use another column as "
            "watermark, or load all rows again without one."
        )


def _may_be_rounded(value: Any) -> bool:
    """Check whether a watermark is a float that may have lost digits."""
    if not isinstance(value, float):
        return False
    digits = decimal.Decimal(repr(value)).normalize().as_tuple().digits
    return abs(value) >= values.EXACT_INTEGER or len(digits) > decimals.FLOAT_DIGITS


def _timeout_error(seconds: float, *, connection_name: str) -> errors.PermanentError:
    return errors.PermanentError(
        f"The query took longer than {seconds:,.0f} s on {connection_name!r}, which is the limit."
    )


@contextlib.contextmanager
def _translate_errors(source: sources.SqlSource, *, database: connections.Database, seconds: float) -> Iterator[None]:
    """Raise the database's errors as errors of ours, without the operator's secrets."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translate_error(error, source=source, database=database, seconds=seconds) from None
    except sa.exc.SQLAlchemyError as error:
        raise errors.PermanentError(
            f"The query can't be run on {source.connection!r} ({type(error).__name__})."
        ) from None


def _translate_error(
    error: sa.exc.DBAPIError, *, source: sources.SqlSource, database: connections.Database, seconds: float
) -> errors.MillraceError:
    driver_error, connection_name = error.orig, source.connection
    code, text = _read_error_code(driver_error), _read_error_text(driver_error, database=database)
    if _is_timeout(error):
        return _timeout_error(seconds, connection_name=connection_name)
    # A source is only read: that it is read-only is no fault of its.
    is_transient = code not in WRITE_CODES and faults.of_code(code) is not None
    if is_transient or error.connection_invalidated or "database is locked" in text:
        outline = f"The database {connection_name!r} can't answer at the moment"
        return errors.RetryableError(f"{outline}: {text}", message_for_log=f"{outline}.")
    is_writing = code in WRITE_CODES or any(phrase in text for phrase in WRITE_PHRASES)
    if is_writing or not databases.is_one_select(source.query):
        text = f"{text.rstrip('.')}; {databases.ONE_SELECT}"
    # The database may quote the query and its parameters.
    outline = f"The query fails on {connection_name!r}"
    return errors.PermanentError(f"{outline}: {text}", message_for_log=f"{outline}.")


def _is_timeout(error: sa.exc.DBAPIError) -> bool:
    """Check whether the database ended a statement because it took too long."""
    return _read_error_code(error.orig) in TIMEOUT_CODES or str(error.orig) == "interrupted"


def _read_error_code(driver_error: BaseException | None) -> str | int | None:
    """Return MySQL's error number, or the SQLSTATE of another database."""
    state: str | None = getattr(driver_error, "sqlstate", None)
    first = driver_error.args[0] if driver_error is not None and driver_error.args else None
    return first if isinstance(first, int) else state


def _read_error_text(driver_error: BaseException | None, *, database: connections.Database) -> str:
    """Return the database's message, with its password replaced should it ever be part of it."""
    message = getattr(getattr(driver_error, "diag", None), "message_primary", None)
    text = str(message or (driver_error.args[-1] if driver_error is not None and driver_error.args else driver_error))
    password = sa.make_url(database.url.get_secret_value()).password
    return (text.replace(str(password), "…") if password else text)[:SHOWN_CHARACTERS]


def _build_lineage(source: sources.SqlSource, *, watermark: fetched_file.WatermarkFilter | None) -> dict[str, Any]:
    has_value = watermark is not None and watermark.value is not None
    start = {"column": watermark.column, "value": str(watermark.value)} if watermark and has_value else None
    return {
        "type": "sql",
        "connection": source.connection,
        "query": source.query[:2000],
        "query_sha256": hashlib.sha256(source.query.encode()).hexdigest(),
        **({"from": start} if start else {}),
    }
