"""The tables of lists that are filtered and sorted, and the cursors of their pages."""

import dataclasses
import zlib
from typing import Any

import sqlalchemy as sa

from api.reads import criteria, cursors
from shared import errors

_MAX_CHARACTERS = 200
_EARLIER = r"[0-9]{1,9}|evaluation_[0-7][0-9A-HJKMNP-TV-Z]{25}"
"""What cursors of releases before sorts hold: a version's number, or an evaluation's id."""


@dataclasses.dataclass(frozen=True)
class Shelf:
    """The tables of a list."""

    table: sa.Table
    key: tuple[str, ...]
    """The columns that, beside the tenant, identify a row."""
    newest: tuple[str, ...]
    """The columns by which the newest comes first, with an index of each group; they end in the key, or identify a row
    of a group."""
    tags: sa.Table
    """The tags, which have the key and `newest` as well."""
    groups: tuple[str, ...]
    """The columns within whose values an index has an order, the narrowest first."""
    metrics: sa.Table | None = None
    """The values of metrics, which have the key and the groups as well; None where there are none to sort by."""
    is_listed: sa.ColumnElement[bool] | None = None
    """A condition that (nearly) all rows fulfil."""


def pack(position: list[Any] | None, sort: criteria.Sort | None) -> str | None:
    """Encode a position of a list as a cursor, which holds for lists of this sort.

    A position is whether a row has a value of the metric, then the value and the key, or what makes rows newest.
    """
    return None if position is None else cursors.pack_values([_identify(sort), *position])


def unpack(cursor: str | None, sort: criteria.Sort | None, shelf: Shelf) -> list[Any] | None:
    """Decode a cursor that `pack` made for this sort; raises MalformedRequestError for anything else.

    Cursors of earlier releases, which had no sorts, are taken where the newest come first.
    """
    if cursor is None:
        return None
    [of_sort, has_value, *values] = _unpack_earlier(cursor) or cursors.unpack_values(cursor, least=2)
    names = shelf.key if has_value else shelf.newest
    types: list[sa.types.TypeEngine[Any]] = [shelf.table.c[name].type for name in names]
    if has_value:
        types.insert(0, sa.Double())
    is_of_sort = of_sort == _identify(sort) and (sort is not None or not has_value)
    fits = len(values) == len(types) and all(map(_fits, values, types))
    if not isinstance(has_value, bool) or not is_of_sort or not fits:
        raise cursors.make_error(cursor)
    return [has_value, *values]


def _unpack_earlier(cursor: str) -> list[Any] | None:
    try:
        text = cursors.unpack(cursor, pattern=f"({_EARLIER})") or ""
    except errors.MalformedRequestError:
        return None
    return [None, False, int(text) if text.isdecimal() else text]


def _identify(sort: criteria.Sort | None) -> int | None:
    """Tell a sort from others by a number, since the name of a metric may be longer than a cursor."""
    return None if sort is None else zlib.crc32(sort.text.encode())


def _fits(value: Any, type_: sa.types.TypeEngine[Any]) -> bool:
    """Whether a column of a type could hold a value, which a client may have made up."""
    if type(value) is not type_.python_type:
        return False
    if isinstance(value, str):
        return value.isprintable() and len(value) <= _MAX_CHARACTERS
    is_large = isinstance(type_, sa.BigInteger)
    return isinstance(value, float) or 0 <= value < 2 ** (63 if is_large else 31)
