"""Pipelines and their versions, as they are read."""

from typing import Any

import sqlalchemy as sa

from api.reads import cursors
from shared import clock, contract, database, errors
from shared.orchestration import versions
from shared.orchestration.tables import pipeline_versions, pipelines

ROLE = "orchestration"


def page(databases: database.Databases, tenant_id: str, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """Read a page of pipelines in alphabetical order, each by its latest version; retired ones are left out."""
    after = cursors.unpack(cursor, pattern=contract.NAME_PATTERN.strip("^$"))
    table = pipeline_versions
    is_latest = sa.and_(
        table.c.tenant_id == pipelines.c.tenant_id,
        table.c.name == pipelines.c.name,
        table.c.version == pipelines.c.last_version,
    )
    query = (
        sa.select(pipelines, table.c.steps)
        .join(table, is_latest)
        .where(pipelines.c.tenant_id == tenant_id, pipelines.c.retired_at.is_(None))
    )
    if after is not None:
        query = query.where(pipelines.c.name > after)
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(pipelines.c.name).limit(limit + 1)).all()
    return {
        "pipelines": [_summarize(row) for row in rows[:limit]],
        "next_cursor": cursors.pack(rows[limit - 1].name) if len(rows) > limit else None,
    }


def _summarize(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.last_version,
        "steps": row.steps,
        "created_at": clock.to_text(row.created_at),
        "updated_at": clock.to_text(row.updated_at),
    }


def show(databases: database.Databases, tenant_id: str, name: str, *, version: int | None = None) -> dict[str, Any]:
    """Read a version, also of a pipeline that is retired, or the latest of one that isn't; raises NotFoundError."""
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        row = versions.find(connection, name, tenant_id=tenant_id, version=version)
        if row is None or version is None:
            row = versions.require(connection, name, tenant_id=tenant_id, version=version)
    return {
        "name": row.name,
        "version": row.version,
        "pipeline": row.document,
        "created_by": row.created_by,
        "created_at": clock.to_text(row.created_at),
        "retired_at": clock.to_text(row.retired_at),
    }


def page_of_versions(
    databases: database.Databases, tenant_id: str, name: str, *, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Read a page of a pipeline's versions, newest first; raises NotFoundError when there has never been one."""
    before = cursors.unpack(cursor, pattern=r"\d{1,9}")
    table = pipeline_versions
    query = sa.select(table.c.version, table.c.steps, table.c.created_by, table.c.created_at)
    query = query.where(table.c.tenant_id == tenant_id, table.c.name == name)
    if before is not None:
        query = query.where(table.c.version < int(before))
    with database.available(ROLE), databases[ROLE].statements.connect() as connection:
        rows = connection.execute(query.order_by(table.c.version.desc()).limit(limit + 1)).all()
    if not rows and before is None:
        raise errors.NotFoundError(f"There has never been a pipeline {name!r} here.")
    shown = rows[:limit]
    return {
        "name": name,
        "versions": [
            {
                "version": row.version,
                "steps": row.steps,
                "created_by": row.created_by,
                "created_at": clock.to_text(row.created_at),
            }
            for row in shown
        ],
        "next_cursor": cursors.pack(str(shown[-1].version)) if len(rows) > limit else None,
    }
