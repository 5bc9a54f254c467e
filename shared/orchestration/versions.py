"""The versions of pipelines, each of which stays as it was put."""

from typing import Any

import sqlalchemy as sa

from shared import clock, database, errors, fingerprints
from shared.orchestration.language.document import Pipeline
from shared.orchestration.tables import pipeline_versions, pipelines


def put(
    connection: sa.Connection,
    name: str,
    pipeline: Pipeline,
    *,
    tenant_id: str,
    created_by: str,
    expected_version: int | None = None,
) -> tuple[int, bool]:
    """Keep a pipeline as the next version of its name, and return its number and that it is new.

    What is the same as the latest version is no new one. PreconditionFailedError when that isn't `expected_version`.
    """
    head = _lock(connection, name, tenant_id=tenant_id)
    if expected_version is not None and expected_version != head.last_version:
        raise errors.PreconditionFailedError(
            f"The latest version of {name} is {head.last_version}, not {expected_version}: it has changed since."
        )
    document = pipeline.to_stored()
    fingerprint = fingerprints.compute(document)
    latest = find(connection, name, tenant_id=tenant_id)
    is_new = latest is None or latest.fingerprint != fingerprint
    version = int(head.last_version) + is_new
    if is_new:
        row = {"tenant_id": tenant_id, "name": name, "version": version, "document": document}
        row |= {"fingerprint": fingerprint, "steps": len(pipeline.steps), "created_by": created_by}
        connection.execute(sa.insert(pipeline_versions).values(**row, created_at=clock.now_ms()))
    if is_new or head.retired_at is not None:
        connection.execute(
            sa.update(pipelines)
            .where(pipelines.c.tenant_id == tenant_id, pipelines.c.name == name)
            .values(last_version=version, updated_at=clock.now_ms(), retired_at=None)
        )
    return version, is_new


def _lock(connection: sa.Connection, name: str, *, tenant_id: str) -> sa.Row[Any]:
    """Read a pipeline's row, locked until the transaction ends; a new one has the version 0."""
    now = clock.now_ms()
    connection.execute(
        database.insert(connection, pipelines)
        .values(tenant_id=tenant_id, name=name, last_version=0, created_at=now, updated_at=now)
        .on_conflict_do_nothing()
    )
    query = sa.select(pipelines).where(pipelines.c.tenant_id == tenant_id, pipelines.c.name == name)
    return connection.execute(query.with_for_update()).one()


def retire(connection: sa.Connection, name: str, *, tenant_id: str) -> bool:
    """Let no further run of a pipeline begin until it is put again; False when there is none of this name."""
    retired = connection.execute(
        sa.update(pipelines)
        .where(
            pipelines.c.tenant_id == tenant_id,
            pipelines.c.name == name,
            pipelines.c.retired_at.is_(None),
        )
        .values(retired_at=clock.now_ms(), updated_at=clock.now_ms())
    )
    return retired.rowcount == 1


def find(connection: sa.Connection, name: str, *, tenant_id: str, version: int | None = None) -> sa.Row[Any] | None:
    """Read a version, the latest without a number, with `retired_at` of its pipeline; None when there is none."""
    table = pipeline_versions
    is_of_it = sa.and_(pipelines.c.tenant_id == table.c.tenant_id, pipelines.c.name == table.c.name)
    return connection.execute(
        sa.select(table, pipelines.c.retired_at)
        .join(pipelines, is_of_it)
        .where(
            table.c.tenant_id == tenant_id,
            table.c.name == name,
            table.c.version == (pipelines.c.last_version if version is None else version),
        )
    ).one_or_none()


def require(connection: sa.Connection, name: str, *, tenant_id: str, version: int | None = None) -> sa.Row[Any]:
    """Read a version of a pipeline that isn't retired; raises NotFoundError."""
    row = find(connection, name, tenant_id=tenant_id, version=version)
    if row is None or row.retired_at is not None:
        latest = row if version is None else find(connection, name, tenant_id=tenant_id)
        if latest is None or latest.retired_at is not None:
            was = "" if latest is None else "; it was retired, and PUT brings it back"
            raise errors.NotFoundError(f"There is no pipeline {name!r} here{was}.")
        raise errors.NotFoundError(
            f"There is no version {version} of the pipeline {name}; its last is {latest.version}."
        )
    return row
