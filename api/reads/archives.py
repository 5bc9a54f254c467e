"""The tenant's archives: one by its id, and pages of many, newest first."""

from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, database, errors
from shared.storage.tables import archives

_ROLE = "storage"
_ID = r"storage_[0-7][0-9A-HJKMNP-TV-Z]{25}"


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of archives, newest first."""
    before = cursors.unpack(cursor, pattern=_ID)
    query = _select_archives(tenant_id)
    if before is not None:
        query = query.where(archives.c.id < before)
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(archives.c.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return {
        "archives": [describe(row) for row in shown],
        "next_cursor": cursors.pack(shown[-1].id) if len(rows) > limit else None,
    }


def find(databases: database.Databases, tenant_id: str, archive_id: str) -> sa.Row[Any]:
    """Read an archive's row; raises NotFoundError."""
    query = _select_archives(tenant_id).where(archives.c.id == archive_id)
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise errors.NotFoundError(f"There is no archive {archive_id!r}.")
    return row


def _select_archives(tenant_id: str) -> sa.Select[Any]:
    return sa.select(archives).where(
        archives.c.tenant_id == tenant_id,
        archives.c.deleted_at.is_(None),
    )


def describe(row: sa.Row[Any]) -> dict[str, Any]:
    """Describe an archive."""
    shown = ("id", "bytes", "sha256", "items", "job_id", "created_by")
    return {**{name: getattr(row, name) for name in shown}, "created_at": clock.to_text(row.created_at)}
