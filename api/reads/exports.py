"""Exports of models: those of a version, and the newest job that was to make one."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database
from shared.jobs import views
from shared.training import export_rows

_ROLE = "training"
_SEEN_JOBS = 20


def page(databases: database.Databases, row: sa.Row[Any]) -> dict[str, Any]:
    """Describe the exports of a model's version, given its row."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        rows = export_rows.list_exports(connection, tenant_id=row.tenant_id, name=row.name, version=row.version)
    return {"name": row.name, "version": row.version, "exports": [_describe(one) for one in rows]}


def find(databases: database.Databases, row: sa.Row[Any], form: str) -> sa.Row[Any] | None:
    """Read the export of a model's version in a form; None when there is none yet."""
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        return export_rows.find(
            connection, tenant_id=row.tenant_id, name=row.name, version=row.version, export_format=form
        )


def newest_job(databases: database.Databases, row: sa.Row[Any], form: str) -> views.Row | None:
    """Read the newest job that was to make an export; its tag is how it is found."""
    wanted = views.Filter(tenant_id=row.tenant_id, kind="training.export", tag=tag_of(row, form))
    with database.available(_ROLE), databases[_ROLE].statements.connect() as connection:
        found = views.read_page(connection, wanted, role=_ROLE, limit=_SEEN_JOBS)
    # Anybody may have given the tag to another job.
    return next((job for job in found if job.params == params_of(row, form)), None)


def params_of(row: sa.Row[Any], form: str) -> dict[str, Any]:
    """Make the parameters of the job that exports a version in a form."""
    return {"model": f"{row.name}@{row.version}", "format": form}


def tag_of(row: sa.Row[Any], form: str) -> str:
    """Make the tag of the job that exports a version in a form."""
    return f"export:{row.name}@{row.version}:{form}"


def _describe(row: sa.Row[Any]) -> dict[str, Any]:
    shown = ("format", "sha256", "bytes", "created_by", "job_id", "details")
    return {**{name: getattr(row, name) for name in shown}, "created_at": clock.to_text(row.created_at)}
