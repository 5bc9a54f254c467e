"""Fetches the rows that a query returns, from a database that the operator has named.

docs/decisions/ingestion.md, "SQL sources are read-only three times"
"""

import contextlib
import dataclasses
import datetime
import decimal
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared import errors, settings
from shared.ingestion import connections, sources
from shared.progress import Progress, no_progress
from workers.ingestion import decimals, values
from workers.ingestion.limits import Limits
from workers.ingestion.names import resolve_names
from workers.ingestion.sources import databases, fetched_file, typed_rows

# The rows to fetch from the server's cursor at once, and the rows of one batch of the file.
FETCH_ROWS = 500
BATCH_ROWS = 10_000
SHOWN_CHARACTERS = 500

# The databases' codes for a statement that took too long, and for errors that may be temporary: SQLSTATE or number.
TIMEOUT_CODES = frozenset({"57014", 1969, 3024})
TRANSIENT_CODES = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", 1205, 1213, 2006, 2013})
TRANSIENT_CLASSES = ("08", "53")
# Their codes and phrases for a statement that would write.
WRITE_CODES = frozenset({"25006", 1792})
WRITE_PHRASES = ("not authorized", "readonly database", "data-modifying")


@dataclasses.dataclass(frozen=True)
class _Query:
    """A query and its parameters, ready to run."""

    text: str
    params: dict[str, Any]


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
    """Run a query and write its rows as typed Parquet; with a watermark, only the rows above it, in its order.

    Raises PermanentError with the database's message, RetryableError for temporary errors, BadDataError for values
    that no column can hold. No message and no log shows the database's address or password.
    """
    database = connections.find_database(config.ingestion_connections, source.connection, tenant_id=tenant_id)
    seconds = config.ingestion_source_seconds
    with databases.open_connection(database, name=source.connection, seconds=seconds) as connection:
        databases.check_query(connection, source.query)
        query = _build_query(source, watermark=watermark, dialect=connection.dialect)
        with _translate_errors(source, database=database, seconds=seconds):
            table, notes = _read(
                connection,
                query,
                connection_name=source.connection,
                watermark=watermark,
                scratch=scratch,
                limits=limits,
                seconds=seconds,
                report=report,
            )
    return fetched_file.FetchedFile(
        path=table.finish(),
        format="parquet",
        compression="none",
        lineage=_build_lineage(source, watermark=watermark),
        notes=[*notes, *table.notes()],
        rows=table.rows,
        is_filtered=watermark is not None,
    )


def _read(
    connection: sa.Connection,
    query: _Query,
    *,
    connection_name: str,
    watermark: fetched_file.WatermarkFilter | None,
    scratch: Path,
    limits: Limits,
    seconds: float,
    report: Progress,
) -> tuple[typed_rows.TypedRows, list[str]]:
    result = connection.execute(_bind(query), query.params, execution_options={"yield_per": FETCH_ROWS})
    with databases.closing(result):
        if not result.returns_rows:
            raise errors.PermanentError(f"The query returns no rows; {databases.ONE_SELECT}")
        names, notes = resolve_names(list(result.keys()), limits=limits)
        if watermark is not None:
            _check_watermark(result, watermark, names=names)
        table = typed_rows.TypedRows(scratch, names=names, limits=limits)
        with contextlib.closing(table):
            for batch in _iterate_batches(
                result, connection=connection, connection_name=connection_name, seconds=seconds
            ):
                table.append(batch)
                report(0.0, f"reading, row {table.rows:,}")
    return table, notes


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


def _iterate_batches(
    result: sa.CursorResult[Any], *, connection: sa.Connection, connection_name: str, seconds: float
) -> Iterator[list[Any]]:
    """Iterate over the rows in batches; PermanentError when the time is up."""
    deadline = time.monotonic() + seconds
    batch: list[Any] = []
    for rows in result.partitions(FETCH_ROWS):
        batch += rows
        databases.limit_next_statement(
            connection, seconds=_compute_remaining(deadline, seconds=seconds, connection_name=connection_name)
        )
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _compute_remaining(deadline: float, *, seconds: float, connection_name: str) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise _timeout_error(seconds, connection_name=connection_name)
    return remaining


def _timeout_error(seconds: float, *, connection_name: str) -> errors.PermanentError:
    return errors.PermanentError(
        f"The query took longer than {seconds:,.0f} s on {connection_name!r}, which is the limit."
    )


def _build_query(
    source: sources.SqlSource, *, watermark: fetched_file.WatermarkFilter | None, dialect: sa.Dialect
) -> _Query:
    text = source.query.rstrip().rstrip(";")
    if watermark is None:
        return _Query(text, dict(source.params))
    preparer = dialect.identifier_preparer
    column = watermark.column.replace(preparer.final_quote, preparer.final_quote * 2).replace(":", "\\:")
    column = f"{preparer.initial_quote}{column}{preparer.final_quote}"
    # The query's last line may be a comment.
    wrapped = f"SELECT * FROM (\n{text}\n) AS loaded WHERE {column} > :{sources.WATERMARK} ORDER BY {column}"
    return _Query(wrapped, {**source.params, sources.WATERMARK: _convert_watermark(watermark, dialect=dialect.name)})


def _convert_watermark(watermark: fetched_file.WatermarkFilter, *, dialect: str) -> Any:
    """Convert the watermark to what this database compares: times without an offset are taken as UTC."""
    value = watermark.value
    if dialect == "sqlite" and isinstance(value, datetime.date):
        raise errors.PermanentError(
            f"SQLite has no dates or times to compare column {watermark.column!r} with; keep it as text, or use a "
            "column of numbers."
        )
    if dialect in ("mysql", "mariadb") and isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def _bind(query: _Query) -> sa.TextClause:
    """Build the statement; PermanentError unless every parameter has a value and every value a parameter."""
    statement = sa.text(query.text)
    named = set(statement.compile().params)
    if missing := sorted(named - set(query.params)):
        raise errors.PermanentError(
            f"The query has the parameter :{missing[0]}, but `params` gives it no value (write a plain colon as \\:)."
        )
    if unused := sorted(set(query.params) - named):
        raise errors.PermanentError(f"`params` gives {unused[0]!r}, but there is no :{unused[0]} in the query.")
    return statement


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
    if code in TIMEOUT_CODES or text == "interrupted":
        return _timeout_error(seconds, connection_name=connection_name)
    is_transient = code in TRANSIENT_CODES or (isinstance(code, str) and code.startswith(TRANSIENT_CLASSES))
    if is_transient or error.connection_invalidated or "database is locked" in text:
        return errors.RetryableError(f"The database {connection_name!r} can't answer at the moment: {text}")
    is_writing = code in WRITE_CODES or any(phrase in text for phrase in WRITE_PHRASES)
    if is_writing or not databases.is_one_select(source.query):
        return errors.PermanentError(
            f"The query fails on {connection_name!r}: {text.rstrip('.')}; {databases.ONE_SELECT}"
        )
    return errors.PermanentError(f"The query fails on {connection_name!r}: {text}")


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
    beyond = {"column": watermark.column, "value": str(watermark.value)} if watermark else None
    return {
        "type": "sql",
        "connection": source.connection,
        "query": source.query[:2000],
        "query_sha256": hashlib.sha256(source.query.encode()).hexdigest(),
        **({"beyond": beyond} if beyond else {}),
    }
