"""Pages of names and of versions, in the same way for datasets, feature sets and models."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from api.reads import cursors, kept
from api.reads.kept import Place
from shared import clock, contract, database, errors
from shared.catalog import versions


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


def page(
    databases: database.Databases,
    tenant_id: str,
    place: Place,
    name: str,
    *,
    limit: int,
    cursor: str | None,
    describe: Callable[[sa.Row[Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Read a page of a name's versions, newest first; raises NotFoundError when the name has none."""
    before = cursors.unpack(cursor, pattern=r"\d{1,9}")
    with database.available(place.role), databases[place.role].statements.connect() as connection:
        rows = versions.list_versions(
            connection,
            place.versions,
            tenant_id=tenant_id,
            name=name,
            before=None if before is None else int(before),
            limit=limit + 1,
        )
    if not rows and before is None:
        raise errors.NotFoundError(f"There is no {name!r} here.")
    has_more, shown = len(rows) > limit, rows[:limit]
    return {
        "name": name,
        "versions": [describe(row) for row in shown],
        "next_cursor": cursors.pack(str(shown[-1].version)) if has_more else None,
    }


def find(databases: database.Databases, tenant_id: str, place: Place, name: str, version: int) -> sa.Row[Any]:
    """Read a version's row; raises NotFoundError when it isn't there."""
    with database.available(place.role), databases[place.role].statements.connect() as connection:
        row = versions.find(connection, place.versions, tenant_id=tenant_id, name=name, version=version)
    if row is None:
        raise errors.NotFoundError(f"There is no {name}@{version} here.")
    return row


def describe_common(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe what versions of all types have in common."""
    return {
        "name": row.name,
        "version": row.version,
        "sha256": row.sha256,
        "bytes": row.bytes,
        "created_at": clock.to_text(row.created_at),
        "created_by": row.created_by,
        "job_id": row.job_id,
    }
