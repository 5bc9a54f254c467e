"""Names and versions as pages: datasets, feature sets and models are listed in the same way."""

from collections.abc import Callable, Sequence
from typing import Any

import flask
import pydantic
import sqlalchemy as sa

from api import answers, documents, door
from shared import clock, contract, database, errors, versions


class NameSummary(documents.Document):
    """A named thing and its greatest version."""

    name: str
    last_version: int
    created_at: str
    updated_at: str


class NameList(documents.Document):
    """Names in alphabetical order."""

    items: list[NameSummary]
    next_cursor: str | None
    unavailable: list[str] = pydantic.Field(description="Roles whose database can't be reached, and so are left out.")


class Version(documents.Document):
    """What every version's document has."""

    name: str
    version: int
    sha256: str
    bytes: int
    created_at: str
    created_by: str = pydantic.Field(description="The id of the key that asked for it.")
    job_id: str


class VersionList(documents.Document):
    """A name's versions, newest first."""

    name: str
    next_cursor: str | None


def names(roles: Sequence[str], heads: sa.Table, query: documents.NamesQuery) -> flask.Response:
    """List the names that some roles' databases hold."""
    after = answers.read_cursor(query.cursor, pattern=contract.NAME_PATTERN.strip("^$"))
    rows: dict[str, sa.Row[Any]] = {}
    unavailable = []
    for role in roles:
        try:
            with door.current().databases[role].statements.connect() as connection:
                found = versions.list_names(
                    connection, heads, tenant_id=door.client().tenant_id, after=after, limit=query.limit + 1
                )
        except database.FAULTS:
            unavailable.append(role)
            continue
        for row in found:
            rows.setdefault(row.name, row)
    if len(unavailable) == len(roles):
        raise errors.UnavailableError(f"{', '.join(unavailable)} can't be reached.", retry_after_seconds=5)
    shown = [rows[name] for name in sorted(rows)]
    return answers.json(
        {
            "items": [_summary(row) for row in shown[: query.limit]],
            "next_cursor": answers.cursor_for(shown[query.limit - 1].name) if len(shown) > query.limit else None,
            "unavailable": unavailable,
        }
    )


def _summary(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "last_version": row.last_version,
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


def version_list(
    role: str,
    table: sa.Table,
    name: str,
    query: documents.NamesQuery,
    *,
    describe: Callable[[sa.Row[Any]], dict[str, Any]],
) -> flask.Response:
    """List a name's versions in one role's database; raises NotFoundError when there is none."""
    before = answers.read_cursor(query.cursor, pattern=r"\d{1,9}")
    with database.available(role), door.current().databases[role].statements.connect() as connection:
        rows = versions.list_versions(
            connection,
            table,
            tenant_id=door.client().tenant_id,
            name=name,
            before=None if before is None else int(before),
            limit=query.limit + 1,
        )
    if not rows and before is None:
        raise errors.NotFoundError(f"There is no {name!r} here.")
    more = len(rows) > query.limit
    shown = rows[: query.limit]
    return answers.json(
        {
            "name": name,
            "versions": [describe(row) for row in shown],
            "next_cursor": answers.cursor_for(str(shown[-1].version)) if more else None,
        }
    )


def find(role: str, table: sa.Table, path: documents.VersionPath) -> sa.Row[Any]:
    """Read a version's row from one role's database; raises NotFoundError when it isn't there."""
    with database.available(role), door.current().databases[role].statements.connect() as connection:
        row = versions.find(connection, table, tenant_id=door.client().tenant_id, name=path.name, version=path.version)
    if row is None:
        raise errors.NotFoundError(f"There is no {path.name}@{path.version} here.")
    return row


def common(row: sa.Row[Any]) -> dict[str, Any]:
    """Give what every version's document has."""
    return {
        "name": row.name,
        "version": row.version,
        "sha256": row.sha256,
        "bytes": row.bytes,
        "created_at": clock.to_text(row.created_at),
        "created_by": row.created_by,
        "job_id": row.job_id,
    }
