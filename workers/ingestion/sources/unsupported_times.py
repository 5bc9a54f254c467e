"""Dates and times that a database holds and no column of ours: 0000-00-00, infinity, years before 1 or after 9999."""

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
class OddTime:
    """A date or time that Python can't hold, as the database writes it."""

    text: str
    kind: pa.DataType
    """What the others of its column are."""

    def __str__(self) -> str:
        """Give it as the database writes it."""
        return self.text


def keep_in_postgresql(connection: psycopg.Connection[Any]) -> None:
    """Let a connection give odd dates and times, where it would fail."""
    for name, kind in POSTGRESQL.items():
        usual = connection.adapters.get_loader(connection.adapters.types[name].oid, pq.Format.TEXT)
        connection.adapters.register_loader(name, _loader(usual, kind))


def mysql_converters() -> dict[Any, Any]:
    """Give what PyMySQL converts values with, for odd dates and times that it would give as text."""
    own = {code: _converter(usual, kind) for code, (usual, kind) in MYSQL.items()}
    return {**converters.conversions, **own}


def _loader(usual: Any, kind: pa.DataType) -> type[adapt.Loader]:
    class Lenient(adapt.Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._usual = usual(oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._usual.load(data)
            except psycopg.DataError:
                return OddTime(bytes(data).decode(), kind)

    return Lenient


def _converter(usual: Callable[[str], Any], kind: pa.DataType) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        value = usual(text)
        return OddTime(value, kind) if isinstance(value, str) else value

    return convert
