"""Pages of lists: the rows of some keys, as many of them as fit into so many bytes.

A list first reads keys, which are small, and then the rows of one page by this. See docs/decisions/statements.md, "A
page of a list ends before its rows have 8 MiB".
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from shared.jobs import json_rows

MAX_BYTES = 8 * 1024 * 1024
"""What the JSON and texts of the rows of one page may have; a single row may have more."""
_INTEGER = sa.Integer()


@dataclasses.dataclass(frozen=True)
class Page:
    """The rows of the first of some keys."""

    rows: Sequence[sa.Row[Any]]
    """In the order of the keys; those of keys that have no row (any more) are left out."""
    cut_at: int | None
    """The position of the first key whose row didn't fit any more; None when all did."""


def read(
    connection: sa.Connection,
    table: sa.Table,
    keys: Sequence[Mapping[str, Any]],
    *,
    shown: Sequence[sa.ColumnElement[Any]],
    max_bytes: int = MAX_BYTES,
) -> Page:
    """Read what is shown of the rows of some keys, until they have too many bytes; the first row is always read.

    A key has the values of columns by which an index finds its row.
    """
    if not keys:
        return Page([], None)
    query = _select(connection.dialect.name, table, tuple(keys[0]), tuple(shown))
    given = [{**key, "row_position": position} for position, key in enumerate(keys)]
    result = connection.execute(query, {"keys": given, "max_bytes": max_bytes})
    # Sorted here: PostgreSQL may not sort on connections for single statements.
    rows = sorted(result, key=lambda row: row.row_position)
    is_cut = bool(rows) and rows[0].rows_found > len(rows)
    return Page(rows, rows[-1].row_position + 1 if is_cut else None)


@functools.cache
def _select(
    dialect: str, table: sa.Table, key: tuple[str, ...], shown: tuple[sa.ColumnElement[Any], ...]
) -> sa.Select[Any]:
    types = {name: table.c[name].type for name in key}
    given, columns = json_rows.unpack(dialect, "keys", {**types, "row_position": _INTEGER})
    position = columns.pop("row_position").label("row_position")
    is_key = sa.and_(*(table.c[name] == value for name, value in columns.items()))
    large = [column for column in shown if isinstance(column.type, sa.JSON | sa.Text)]
    if dialect == "sqlite":
        # It would copy all rows to add up their sizes, so that only keys go through the sum.
        sizes = sa.select(position, *(table.c[name] for name in key), _sum(_count_bytes(dialect, large), "row_bytes"))
        fitting = _within(sizes.join_from(given, table, is_key).subquery())
        is_fitting = sa.and_(*(table.c[name] == fitting.c[name] for name in key))
        return sa.select(fitting.c.row_position, fitting.c.rows_found, *shown).join_from(fitting, table, is_fitting)
    # The stored sizes are looked up without unpacking anything, so no more is unpacked than may fit, plus its packing.
    stored = _sum(map(sa.func.pg_column_size, large), "row_bytes")
    likely = _within(sa.select(position, *shown, stored).join_from(given, table, is_key).subquery())
    unpacked = _sum(_count_bytes(dialect, [likely.c[column.name] for column in large]), "row_bytes")
    rest = [column for column in likely.c if column.name != "row_bytes"]
    return sa.select(_within(sa.select(*rest, unpacked).subquery()))


def _count_bytes(dialect: str, columns: Iterable[sa.ColumnElement[Any]]) -> Iterator[sa.ColumnElement[int]]:
    for column in columns:
        if dialect == "sqlite":
            yield sa.func.length(sa.cast(column, sa.LargeBinary))
        else:
            yield sa.func.octet_length(sa.cast(column, sa.Text))


def _sum(numbers: Iterable[sa.ColumnElement[int]], name: str) -> sa.ColumnElement[int]:
    """Add numbers up, of which some may be NULL."""
    return sum((sa.func.coalesce(number, 0) for number in numbers), sa.literal_column("0", _INTEGER)).label(name)


def _within(rows: sa.Subquery) -> sa.Subquery:
    """Keep the first rows for as long as the sum of their bytes is within the limit; count what there was, once."""
    total = sa.func.sum(rows.c.row_bytes).over(order_by=rows.c.row_position, rows=(None, 0)).label("bytes_so_far")
    found = [] if "rows_found" in rows.c else [sa.func.count().over().label("rows_found")]
    summed = sa.select(*rows.c, total, *found).subquery()
    is_within = summed.c.bytes_so_far <= sa.bindparam("max_bytes", type_=sa.BigInteger)
    is_first = summed.c.bytes_so_far == summed.c.row_bytes
    rest = [column for column in summed.c if column.name != "bytes_so_far"]
    return sa.select(*rest).where(sa.or_(is_within, is_first)).subquery()
