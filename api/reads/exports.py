"""Exports of models: those of a version, and the newest job that makes or made one."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import views
from shared.training import export_rows

_ROLE = "training"
_MAX_JOBS_READ = 20


def page(databases: database.Databases, row: sa.Row[Any]) -> dict[str, Any]:
    """Describe the exports of a model's version, given its row."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = export_rows.list_exports(connection, tenant_id=row.tenant_id, name=row.name, version=row.version)
    return {"name": row.name, "version": row.version, "exports": [_describe(export) for export in rows]}


def find(databases: database.Databases, row: sa.Row[Any], export_format: str) -> sa.Row[Any] | None:
    """Read the row of a version's export in a format; None when there is none yet."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        return export_rows.find(
            connection, tenant_id=row.tenant_id, name=row.name, version=row.version, export_format=export_format
        )


def find_newest_job(databases: database.Databases, row: sa.Row[Any], export_format: str) -> views.ShownJob | None:
    """Find the newest job that makes or made an export, by its tag; None when there is none."""
    criteria = views.Filter(tenant_id=row.tenant_id, kind="training.export", tags=[tag_of(row, export_format)])
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        job_ids = views.list_ids(connection, criteria, role=_ROLE, limit=_MAX_JOBS_READ)
        jobs, _cut_at = views.read_many(connection, job_ids)
    # A client may have given this tag to another job.
    return next((job for job in jobs if job.params == params_of(row, export_format)), None)


def params_of(row: sa.Row[Any], export_format: str) -> dict[str, Any]:
    """Make the parameters of the job that exports a version in a format."""
    return {"model": f"{row.name}@{row.version}", "format": export_format}


def tag_of(row: sa.Row[Any], export_format: str) -> str:
    """Make the tag of the job that exports a version in a format."""
    return f"export:{row.name}@{row.version}:{export_format}"


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    shown = ("format", "sha256", "bytes", "created_by", "job_id", "details")
    return {**{name: getattr(row, name) for name in shown}, "created_at": clock.to_text(row.created_at)}
