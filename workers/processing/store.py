"""Writes feature sets and what is published of them, in their job's last transaction."""

from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors
from shared.catalog import marks, versions
from shared.catalog.lineage import note_lineage
from shared.jobs import outbox
from shared.jobs.tables import jobs
from shared.objects.lookups import keys
from shared.processing import tables
from workers.job import Job
from workers.processing.publish import Published


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


def add_publication(
    connection: sa.Connection,
    job: Job,
    features: contract.FeaturesPin,
    table: Published,
    *,
    key: str,
    dataset: str,
) -> list[str]:
    """Write what was published of a version, in place of what was before; returns notes.

    Of two jobs that run at once the one that was accepted last holds, whichever ends first. PermanentError when the
    version was deleted meanwhile.
    """
    publications, pushed = tables.feature_publications, tables.pushed_rows
    if not versions.lock_version(
        connection, tables.feature_versions, tenant_id=job.tenant_id, name=features.name, version=features.version
    ):
        raise errors.PermanentError(f"The feature set {features.label} was deleted meanwhile.")
    identity = {
        "tenant_id": job.tenant_id,
        "name": features.name,
        "version": features.version,
        "keyed_by": keys.mark([column.name for column in table.key]),
    }
    row = {
        "key": key,
        "sha256": table.sha256,
        "bytes": table.bytes,
        "rows": table.rows,
        "key_columns": [column.model_dump(mode="json") for column in table.key],
        "columns": [column.model_dump(mode="json") for column in table.columns],
        "dataset": dataset,
        "job_id": job.id,
        "published_at": clock.now_ms(),
    }
    written = connection.execute(
        database.insert(connection, publications)
        .values(**identity, **row, pushes=0)
        .on_conflict_do_update(index_elements=list(identity), set_=row, where=publications.c.job_id < job.id)
        .returning(publications.c.job_id)
    ).first()
    if written is None:
        return ["A job that was accepted later has published already, so this table is not served."]
    accepted_at = connection.execute(sa.select(jobs.c.created_at).where(jobs.c.id == job.id)).scalar_one()
    connection.execute(
        sa.delete(pushed).where(
            *(pushed.c[name] == value for name, value in identity.items()), pushed.c.pushed_at < accepted_at
        )
    )
    data = {"name": features.name, "version": features.version, "rows": table.rows}
    outbox.put(connection, [outbox.Event("features.published", features.label, job.tenant_id, data)])
    return []
