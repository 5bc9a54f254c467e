"""Reads and writes the rows of exports, and finds the training data that making an export needs."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors
from shared.catalog import versions
from shared.jobs import tables
from shared.training.tables import model_exports, model_versions

_exports = model_exports


def find(
    connection: sa.Connection, *, tenant_id: str, name: str, version: int, export_format: str
) -> sa.Row[Any] | None:
    """Read an export's row; None when there is none."""
    return connection.execute(
        sa.select(_exports).where(
            _exports.c.tenant_id == tenant_id,
            _exports.c.name == name,
            _exports.c.version == version,
            _exports.c.format == export_format,
        )
    ).one_or_none()


def list_exports(connection: sa.Connection, *, tenant_id: str, name: str, version: int) -> list[sa.Row[Any]]:
    """Read the rows of a version's exports, by format."""
    return list(
        connection.execute(
            sa.select(_exports)
            .where(_exports.c.tenant_id == tenant_id, _exports.c.name == name, _exports.c.version == version)
            .order_by(_exports.c.format)
        ).all()
    )


def add(connection: sa.Connection, **row: Any) -> sa.Row[Any]:
    """Write an export's row and return the stored one: the first row stays.

    Raises PermanentError when the version was deleted meanwhile, because nothing would ever delete the export.
    """
    key = {column: row[column] for column in ("tenant_id", "name", "version")}
    if not versions.lock_version(connection, model_versions, **key):
        raise errors.PermanentError(f"The version {row['name']}@{row['version']} was deleted.")
    connection.execute(
        database.insert(connection, _exports).values(**row, created_at=clock.now_ms()).on_conflict_do_nothing()
    )
    export = find(connection, **key, export_format=row["format"])
    if export is None:
        raise AssertionError("the export's row must exist: it was inserted, or was there before")
    return export


def find_training_data(
    connection: sa.Connection, pinned: Mapping[str, Any], *, tenant_id: str, job_id: str
) -> contract.DatasetPin | None:
    """Find the dataset that a version was trained on; None when it is not known.

    `pinned` are the export job's own pins: the API has put the data there when the version came from an archive.
    Otherwise the job that made the version, `job_id`, has pinned it.
    """
    if "data" in pinned:
        return contract.DatasetPin.model_validate(pinned["data"])
    version_pinned = connection.execute(
        sa.select(tables.jobs.c.pinned).where(tables.jobs.c.id == job_id, tables.jobs.c.tenant_id == tenant_id)
    ).scalar()
    if version_pinned and "features" in version_pinned:
        return contract.FeaturesPin.model_validate(version_pinned["features"]).dataset
    return (
        contract.DatasetPin.model_validate(version_pinned["dataset"])
        if version_pinned and "dataset" in version_pinned
        else None
    )
