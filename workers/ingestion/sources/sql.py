"""Fetches the rows that a query answers, from a database that the operator has named."""

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
from workers.ingestion.names import settle_names
from workers.ingestion.sources import databases, fetched_file, typed_rows

# Rows asked of the server's cursor at once, and of one batch of the file.
FETCH_ROWS = 500
BATCH_ROWS = 10_000
SHOWN_CHARACTERS = 500

# What the databases say when a statement took too long, and when it may do better later: SQLSTATE or error number.
TOO_LONG = frozenset({"57014", 1969, 3024})
PASSING = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", 1205, 1213, 2006, 2013})
PASSING_CLASSES = ("08", "53")
# What they say to a statement that would write.
WRITING = frozenset({"25006", 1792})
WRITING_WORDS = ("not authorized", "readonly database", "data-modifying")


@dataclasses.dataclass(frozen=True)
class _Query:
    """A query with its parameters, as it is run."""

    text: str
    params: dict[str, Any]


def fetch(
    source: sources.SqlSource,
    *,
    tenant_id: str,
    scratch: Path,
    config: settings.Settings,
    limits: Limits,
    watermark: fetched_file.Watermark | None = None,
    report: Progress = no_progress,
) -> fetched_file.Fetched:
    """Run a query and write its rows as typed Parquet; only rows beyond the watermark, in its order, if one is given.

    Raises PermanentError with what the database says, RetryableError for faults that pass, BadDataError for values
    that no column can hold. No message and no log shows the database's address or password.
    """
    database = connections.database(config.ingestion_connections, source.connection, tenant_id=tenant_id)
    seconds = config.ingestion_source_seconds
    with databases.opened(database, name=source.connection, seconds=seconds) as connection:
        databases.check_query(connection, source.query)
        query = _query(source, watermark=watermark, dialect=connection.dialect)
        with _faults_named(source, database=database, seconds=seconds):
            table, notes = _read(
                connection,
                query,
                name=source.connection,
                watermark=watermark,
                scratch=scratch,
                limits=limits,
                seconds=seconds,
                report=report,
            )
    return fetched_file.Fetched(
        path=table.finish(),
        format="parquet",
        compression="none",
        lineage=_lineage(source, watermark=watermark),
        notes=[*notes, *table.notes()],
        rows=table.rows,
        is_filtered=watermark is not None,
    )


def _read(
    connection: sa.Connection,
    query: _Query,
    *,
    name: str,
    watermark: fetched_file.Watermark | None,
    scratch: Path,
    limits: Limits,
    seconds: float,
    report: Progress,
) -> tuple[typed_rows.TypedRows, list[str]]:
    result = connection.execute(_bound(query), query.params, execution_options={"yield_per": FETCH_ROWS})
    with databases.closing(result):
        if not result.returns_rows:
            raise errors.PermanentError(f"The query answers no rows; {databases.ONE_SELECT}")
        names, notes = settle_names(list(result.keys()), limits=limits)
        if watermark is not None:
            _check_watermark(result, watermark, names=names)
        table = typed_rows.TypedRows(scratch, names=names, limits=limits)
        with contextlib.closing(table):
            for batch in _batches(result, connection=connection, name=name, seconds=seconds):
                table.append(batch)
                report(0.0, f"reading, row {table.rows:,}")
    return table, notes


def _check_watermark(result: sa.CursorResult[Any], watermark: fetched_file.Watermark, *, names: list[str]) -> None:
    """Refuse a watermark by which the database would leave out rows that are new."""
    if watermark.column not in names:
        raise errors.BadDataError(f"The query has no column {watermark.column!r}, which is the watermark's.")
    exact = databases.EXACT_NUMBERS.get(result.dialect.name, set())
    numbers = exact | databases.OTHER_NUMBERS.get(result.dialect.name, set())
    kind = result.cursor.description[names.index(watermark.column)][1]
    # Text has another order than the numbers it was made of.
    if kind in numbers if isinstance(watermark.value, str) else kind in exact and _may_be_rounded(watermark.value):
        raise errors.BadDataError(
            f"Column {watermark.column!r} holds numbers, of which the latest version keeps text or rounded ones "
            f"(up to {watermark.value!r}), so that new rows can't be told from old ones. Use another column as "
            "watermark, or load all rows anew without one."
        )


def _may_be_rounded(value: Any) -> bool:
    """Tell whether a watermark is a float that may have lost digits."""
    if not isinstance(value, float):
        return False
    digits = decimal.Decimal(repr(value)).normalize().as_tuple().digits
    return abs(value) >= values.EXACT_INTEGER or len(digits) > decimals.FLOAT_DIGITS


def _batches(
    result: sa.CursorResult[Any], *, connection: sa.Connection, name: str, seconds: float
) -> Iterator[list[Any]]:
    """Give the rows in batches, and end when the time is up."""
    until = time.monotonic() + seconds
    batch: list[Any] = []
    for rows in result.partitions(FETCH_ROWS):
        batch += rows
        databases.limit_statement(connection, seconds=_left(until, of=seconds, name=name))
        if len(batch) >= BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _left(until: float, *, of: float, name: str) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise _too_long(of, name=name)
    return left


def _too_long(seconds: float, *, name: str) -> errors.PermanentError:
    return errors.PermanentError(f"The query took longer than {seconds:,.0f} s on {name!r}, which is the limit.")


def _query(source: sources.SqlSource, *, watermark: fetched_file.Watermark | None, dialect: sa.Dialect) -> _Query:
    text = source.query.rstrip().rstrip(";")
    if watermark is None:
        return _Query(text, dict(source.params))
    preparer = dialect.identifier_preparer
    column = watermark.column.replace(preparer.final_quote, preparer.final_quote * 2).replace(":", "\\:")
    column = f"{preparer.initial_quote}{column}{preparer.final_quote}"
    # The query's last line may be a comment.
    wrapped = f"SELECT * FROM (\n{text}\n) AS loaded WHERE {column} > :{sources.WATERMARK} ORDER BY {column}"
    return _Query(wrapped, {**source.params, sources.WATERMARK: _as_parameter(watermark, dialect=dialect.name)})


def _as_parameter(watermark: fetched_file.Watermark, *, dialect: str) -> Any:
    """Give the watermark as this database compares it: times without an offset are UTC there, as they are here."""
    value = watermark.value
    if dialect == "sqlite" and isinstance(value, datetime.date):
        raise errors.PermanentError(
            f"SQLite has no dates or times to compare column {watermark.column!r} with; leave it text, or use a number."
        )
    if dialect in ("mysql", "mariadb") and isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def _bound(query: _Query) -> sa.TextClause:
    """Make the statement, once every parameter in it has a value and every value a parameter."""
    statement = sa.text(query.text)
    wanted = set(statement.compile().params)
    if missing := sorted(wanted - set(query.params)):
        raise errors.PermanentError(
            f"The query has the parameter :{missing[0]}, but `params` gives it no value (a colon that is none: \\:)."
        )
    if unused := sorted(set(query.params) - wanted):
        raise errors.PermanentError(f"`params` gives {unused[0]!r}, but there is no :{unused[0]} in the query.")
    return statement


@contextlib.contextmanager
def _faults_named(source: sources.SqlSource, *, database: connections.Database, seconds: float) -> Iterator[None]:
    """Raise the database's faults as errors of ours, with nothing in them that the operator keeps secret."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _explained(error, source=source, database=database, seconds=seconds) from None
    except sa.exc.SQLAlchemyError as error:
        raise errors.PermanentError(
            f"The query can't be run on {source.connection!r} ({type(error).__name__})."
        ) from None


def _explained(
    error: sa.exc.DBAPIError, *, source: sources.SqlSource, database: connections.Database, seconds: float
) -> errors.MillraceError:
    fault, name = error.orig, source.connection
    code, text = _code(fault), _text(fault, database=database)
    if code in TOO_LONG or text == "interrupted":
        return _too_long(seconds, name=name)
    is_passing = code in PASSING or (isinstance(code, str) and code.startswith(PASSING_CLASSES))
    if is_passing or error.connection_invalidated or "database is locked" in text:
        return errors.RetryableError(f"The database {name!r} can't answer at the moment: {text}")
    is_writing = code in WRITING or any(words in text for words in WRITING_WORDS)
    if is_writing or not databases.is_one_select(source.query):
        return errors.PermanentError(f"The query fails on {name!r}: {text.rstrip('.')}; {databases.ONE_SELECT}")
    return errors.PermanentError(f"The query fails on {name!r}: {text}")


def _code(fault: BaseException | None) -> str | int | None:
    """Give MySQL's error number, or the SQLSTATE of another database."""
    state: str | None = getattr(fault, "sqlstate", None)
    first = fault.args[0] if fault is not None and fault.args else None
    return first if isinstance(first, int) else state


def _text(fault: BaseException | None, *, database: connections.Database) -> str:
    """Give what the database says, without its password should it ever stand there."""
    said = getattr(getattr(fault, "diag", None), "message_primary", None)
    text = str(said or (fault.args[-1] if fault is not None and fault.args else fault))
    password = sa.make_url(database.url.get_secret_value()).password
    return (text.replace(str(password), "…") if password else text)[:SHOWN_CHARACTERS]


def _lineage(source: sources.SqlSource, *, watermark: fetched_file.Watermark | None) -> dict[str, Any]:
    beyond = {"column": watermark.column, "value": str(watermark.value)} if watermark else None
    return {
        "type": "sql",
        "connection": source.connection,
        "query": source.query[:2000],
        "query_sha256": hashlib.sha256(source.query.encode()).hexdigest(),
        **({"beyond": beyond} if beyond else {}),
    }
