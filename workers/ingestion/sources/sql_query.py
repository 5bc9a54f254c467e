"""Builds the statements that read a query's rows: from a watermark on, in its order, and with all digits of floats.

docs/decisions/ingestion.md, "A watermark reads again what it can't be sure of"
"""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa

from shared import errors
from shared.ingestion import sources
from workers.ingestion.sources import databases, fetched_file

# MySQL's code of FLOAT, of which its protocol writes six digits; an expression of doubles is written with all of them.
MYSQL_FLOAT = 4
# MariaDB forgets the order of a query within another unless it has a limit; this is the greatest.
KEEP_ORDER = "LIMIT 18446744073709551615"


@dataclasses.dataclass(frozen=True)
class Query:
    """A query and its parameters, ready to run."""

    text: str
    params: dict[str, Any]
    is_ordered: bool = False
    """Whether its rows are in the order of the watermark."""

    def bind(self) -> sa.TextClause:
        """Build the statement; PermanentError unless every parameter has a value and every value a parameter."""
        statement = sa.text(self.text)
        named = set(statement.compile().params)
        if missing := sorted(named - set(self.params)):
            raise errors.PermanentError(
                f"The query has the parameter :{missing[0]}, but `params` gives it no value "
                "(write a plain colon as \\:)."
            )
        if unused := sorted(set(self.params) - named):
            raise errors.PermanentError(f"`params` gives {unused[0]!r}, but there is no :{unused[0]} in the query.")
        return statement


class QueryBuilder:
    """Builds the statements for one source on one connection."""

    def __init__(
        self, connection: sa.Connection, source: sources.SqlSource, *, watermark: fetched_file.WatermarkFilter | None
    ) -> None:
        """Prepare the query; nothing is run yet."""
        self._connection = connection
        self._dialect = connection.dialect.name
        self._source = source
        self._text = source.query.rstrip().rstrip(";")
        self._watermark = watermark

    def build(self) -> Query:
        """Build the statement that reads the rows, after asking the database for the columns' types where it helps."""
        columns = self._describe_columns()
        selected = self._select(columns)
        if self._watermark is not None and self._watermark.value is not None:
            column = self._quote(self._watermark.column)
            condition = f"WHERE {column} >= :{sources.WATERMARK} ORDER BY {column}"
            return Query(self._wrap(selected, condition), self._bind_watermark(self._watermark), is_ordered=True)
        if self._watermark is not None and self._may_be_text(self._watermark.column, columns):
            ordered = self._wrap(selected, f"ORDER BY {self._quote(self._watermark.column)}")
            return Query(ordered, dict(self._source.params), is_ordered=True)
        if selected != "*":
            limited = f"SELECT {selected} FROM (\n{self._text}\n{KEEP_ORDER}) AS loaded"
            if self._describe(limited) is None:
                # It has a limit of its own, which keeps its order too.
                limited = self._wrap(selected, "")
            return Query(limited, dict(self._source.params))
        return Query(self._text, dict(self._source.params))

    def build_count(self, watermark: fetched_file.WatermarkFilter) -> Query:
        """Build the statement that counts the rows that `build` leaves out, all of them and those with a value."""
        column = self._quote(watermark.column)
        condition = f"WHERE {column} < :{sources.WATERMARK} OR {column} IS NULL"
        return Query(self._wrap(f"count(*), count({column})", condition), self._bind_watermark(watermark))

    def _describe_columns(self) -> list[tuple[str, Any]] | None:
        """Ask for the columns and their types; None where they decide nothing or are not known."""
        if self._dialect in databases.MYSQL:
            return self._describe(self._wrap("*", ""))
        if self._dialect == "postgresql" and self._watermark is not None and self._watermark.value is None:
            return self._describe(self._wrap("*", ""))
        return None

    def _describe(self, text: str) -> list[tuple[str, Any]] | None:
        """Return the columns of a query that is not read; None when the database refuses it on MySQL."""
        query = Query(f"SELECT * FROM (\n{text}\n) AS described LIMIT 0", dict(self._source.params))
        try:
            result = self._connection.execute(query.bind(), query.params, execution_options=databases.UNSTREAMED)
        except sa.exc.DBAPIError as error:
            if self._dialect not in databases.MYSQL or error.connection_invalidated:
                raise
            return None
        with databases.closing(result):
            return [(name, column[1]) for name, column in zip(result.keys(), result.cursor.description, strict=True)]

    def _select(self, columns: list[tuple[str, Any]] | None) -> str:
        """Return the list of columns to select, in which MySQL's floats are doubles."""
        if self._dialect not in databases.MYSQL or columns is None or MYSQL_FLOAT not in dict(columns).values():
            return "*"
        return ", ".join(
            f"{self._quote(name)} + 0e0 AS {self._quote(name)}" if code == MYSQL_FLOAT else self._quote(name)
            for name, code in columns
        )

    def _may_be_text(self, column: str, columns: list[tuple[str, Any]] | None) -> bool:
        """Check whether a column may be text, which only the database can order."""
        if columns is not None and column not in dict(columns):
            return False  # Whoever reads the rows refuses it, with the columns that there are.
        code = dict(columns or ()).get(column)
        return code not in databases.ORDERED_TYPES.get(self._dialect, ())

    def _wrap(self, selected: str, condition: str) -> str:
        # The query's last line may be a comment.
        return f"SELECT {selected} FROM (\n{self._text}\n) AS loaded {condition}".rstrip()

    def _quote(self, name: str) -> str:
        preparer = self._connection.dialect.identifier_preparer
        column = name.replace(preparer.final_quote, preparer.final_quote * 2).replace(":", "\\:")
        return f"{preparer.initial_quote}{column}{preparer.final_quote}"

    def _bind_watermark(self, watermark: fetched_file.WatermarkFilter) -> dict[str, Any]:
        """Return the parameters and the watermark as this database compares it: without an offset times are UTC."""
        value = watermark.value
        if self._dialect == "sqlite" and isinstance(value, datetime.date):
            raise errors.PermanentError(
                f"SQLite has no dates or times to compare column {watermark.column!r} with; keep it as text, or "
                "use a column of numbers."
            )
        if self._dialect in databases.MYSQL and isinstance(value, datetime.datetime) and value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return {**self._source.params, sources.WATERMARK: value}
