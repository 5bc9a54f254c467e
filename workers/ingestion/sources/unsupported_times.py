"""Dates and times of databases that no column of ours can hold: 0000-00-00, infinity, years before 1 or after 9999."""

import dataclasses
from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import adapt, pq
from pymysql import converters  # type: ignore[import-untyped]  # It has no types.
from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]  # It has no types.

DATE, LOCAL, INSTANT = pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")
POSTGRESQL = {"date": DATE, "timestamp": LOCAL, "timestamptz": INSTANT}
MYSQL: dict[int, tuple[Callable[[str], Any], pa.DataType]] = {
    FIELD_TYPE.DATE: (converters.convert_date, DATE),
    FIELD_TYPE.DATETIME: (converters.convert_datetime, LOCAL),
    FIELD_TYPE.TIMESTAMP: (converters.convert_datetime, LOCAL),
}


@dataclasses.dataclass(frozen=True, slots=True)
class UnsupportedTime:
    """A date or time that Python can't hold, as the database writes it."""

    text: str
    arrow_type: pa.DataType
    """The type of the column's other values."""

    def __str__(self) -> str:
        """Return it as the database writes it."""
        return self.text


def register_postgresql_loaders(connection: psycopg.Connection[Any]) -> None:
    """Let a connection return unsupported dates and times, where its default loaders would raise."""
    for name, arrow_type in POSTGRESQL.items():
        default_loader = connection.adapters.get_loader(connection.adapters.types[name].oid, pq.Format.TEXT)
        connection.adapters.register_loader(name, _create_loader(default_loader, arrow_type))


def create_mysql_converters() -> dict[Any, Any]:
    """Build PyMySQL's converters, with unsupported dates and times where it would return text."""
    overrides = {
        code: _create_converter(default_converter, arrow_type)
        for code, (default_converter, arrow_type) in MYSQL.items()
    }
    return {**converters.conversions, **overrides}


def _create_loader(default_loader: Any, arrow_type: pa.DataType) -> type[adapt.Loader]:
    class Lenient(adapt.Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._default_loader = default_loader(oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._default_loader.load(data)
            except psycopg.DataError:
                return UnsupportedTime(bytes(data).decode(), arrow_type)

    return Lenient


def _create_converter(default_converter: Callable[[str], Any], arrow_type: pa.DataType) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        value = default_converter(text)
        return UnsupportedTime(value, arrow_type) if isinstance(value, str) else value

    return convert
