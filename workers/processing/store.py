"""Writes feature sets, in their job's last transaction."""

from typing import Any

import sqlalchemy as sa

from shared import contract
from shared.catalog import marks, versions
from shared.catalog.lineage import note_lineage
from shared.jobs import outbox
from shared.processing import tables
from workers.job import Job


def add_features(connection: sa.Connection, job: Job, name: str, *, row: dict[str, Any]) -> int:
    """Write a feature set's next version with the columns in `row`, and its event; return the version's number."""
    version = versions.take_next(connection, tables.features, tenant_id=job.tenant_id, name=name)
    tags = marks.tags_of_job(connection, job.id) if row.get("tags") is None else row["tags"]
    identity = {"name": name, "version": version}
    made_by = {"tenant_id": job.tenant_id, "job_id": job.id, "created_by": job.submitted_by}
    versions.insert(
        connection, tables.feature_versions, tables.feature_tags, {**row, **identity, **made_by, "tags": tags}
    )
    label = f"{name}@{version}"
    note_lineage(connection, "features", label, tenant_id=job.tenant_id, job_id=job.id, lineage=row["lineage"])
    pin = identity | {field: row[field] for field in contract.FeaturesPin.model_fields if field not in identity}
    outbox.put(connection, [outbox.Event("features.created", label, job.tenant_id, {**identity, "pin": pin})])
    return version
