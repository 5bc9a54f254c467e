"""Pages of names and of versions, in the same way for datasets, feature sets and models."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from api.reads import criteria, cursors, kept, shelves, sorted_lists
from api.reads.kept import Place
from shared import clock, contract, database, errors
from shared.catalog import versions
from shared.jobs import pages

_COMMON = ("name", "version", "sha256", "bytes", "created_at", "created_by", "job_id", "tags", "note")


def list_names(
    databases: database.Databases, tenant_id: str, type_: str, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of a type's names in alphabetical order; a role whose database is down is left out, and named."""
    after = cursors.unpack(cursor, pattern=contract.NAME_PATTERN.strip("^$"))
    rows: dict[str, sa.Row[Any]] = {}
    unavailable = []
    places = kept.places_of_type(type_)
    for place in places:
        try:
            with databases[place.role].statements.connect() as connection:
                role_rows = versions.list_names(
                    connection, place.heads, tenant_id=tenant_id, after=after, limit=limit + 1
                )
        except database.FAULTS:
            unavailable.append(place.role)
            continue
        for row in role_rows:
            rows.setdefault(row.name, row)
    if len(unavailable) == len(places):
        raise errors.UnavailableError(f"{', '.join(unavailable)} can't be reached.", retry_after_seconds=5)
    shown = [rows[name] for name in sorted(rows)]
    return {
        "items": [_summary(row) for row in shown[:limit]],
        "next_cursor": cursors.pack(shown[limit - 1].name) if len(shown) > limit else None,
        "unavailable": unavailable,
    }


def _summary(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "last_version": row.last_version,
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    """Which versions of a name a list shows; None means any."""

    tag: str | None = None
    period: criteria.Period = criteria.ANY_TIME


@functools.cache
def _shelf(table: sa.Table, tags: sa.Table) -> shelves.Shelf:
    return shelves.Shelf(
        table=table,
        key=("name", "version"),
        newest=("version",),
        groups=("name",),
        tags=tags,
        is_listed=table.c.deleted_at.is_(None),
    )


def page(
    databases: database.Databases,
    tenant_id: str,
    place: Place,
    name: str,
    chosen: Filter,
    *,
    limit: int,
    cursor: str | None,
    shown: Sequence[sa.ColumnElement[Any]],
    describe: Callable[[sa.Row[Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Read a page of a name's versions, newest first; raises NotFoundError when the name has none.

    `shown` are the columns that `describe` needs besides those that all types have.
    """
    table = place.versions
    shelf = _shelf(table, place.tags)
    after = shelves.unpack(cursor, None, shelf)
    wanted = sorted_lists.Wanted(
        tenant_id=tenant_id,
        groups={"name": name},
        conditions=chosen.period.conditions(table.c.created_at),
        tag=chosen.tag,
    )
    with database.available(place.role), databases[place.role].statements.connect() as connection:
        keys = sorted_lists.list_keys(connection, shelf, wanted, limit=limit, after=after)
        if not keys.found and versions.find(connection, table, tenant_id=tenant_id, name=name, version=None) is None:
            raise errors.NotFoundError(f"There is no {name!r} here.")
        rows = [{"tenant_id": tenant_id, "name": found.key[0], "version": found.key[1]} for found in keys.found]
        read = pages.read(connection, table, rows, shown=(*common_columns(table), *shown))
    return {
        "name": name,
        "versions": [describe(row) for row in read.rows],
        "next_cursor": shelves.pack(keys.end_of(read), None),
    }


def find(databases: database.Databases, tenant_id: str, place: Place, name: str, version: int | None) -> sa.Row[Any]:
    """Read a version's row, of the latest without a number; raises NotFoundError when it isn't there."""
    with database.available(place.role), databases[place.role].statements.connect() as connection:
        row = versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=version)
    if row is None:
        raise errors.NotFoundError(f"There is no {name}@{version or 'latest'} here.")
    return row


def common_columns(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    """List the columns that `describe_common` needs."""
    return tuple(table.c[name] for name in _COMMON)


def describe_common(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe what versions of all types have in common."""
    return {**{name: getattr(row, name) for name in _COMMON}, "created_at": clock.to_text(row.created_at)}
