"""Reads and writes the rows of exports, and what making one has to know of a version."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from shared import clock, contract, database, errors
from shared.catalog import versions
from shared.jobs import tables
from shared.training.tables import model_exports, model_versions

_exports = model_exports


def find(connection: sa.Connection, *, tenant_id: str, name: str, version: int, form: str) -> sa.Row[Any] | None:
    """Read an export's row; None when there is none."""
    return connection.execute(
        sa.select(_exports).where(
            _exports.c.tenant_id == tenant_id,
            _exports.c.name == name,
            _exports.c.version == version,
            _exports.c.format == form,
        )
    ).one_or_none()


def of_version(connection: sa.Connection, *, tenant_id: str, name: str, version: int) -> list[sa.Row[Any]]:
    """Read the rows of a version's exports."""
    return list(
        connection.execute(
            sa.select(_exports)
            .where(_exports.c.tenant_id == tenant_id, _exports.c.name == name, _exports.c.version == version)
            .order_by(_exports.c.format)
        ).all()
    )


def add(connection: sa.Connection, **row: Any) -> sa.Row[Any]:
    """Write an export's row and give the one that is there: the first one stays.

    Raises PermanentError when the version was deleted meanwhile, because nothing would ever let go of the export.
    """
    known = {column: row[column] for column in ("tenant_id", "name", "version")}
    if not versions.hold(connection, model_versions, **known):
        raise errors.PermanentError(f"The version {row['name']}@{row['version']} was deleted.")
    connection.execute(
        database.insert(connection, _exports).values(**row, created_at=clock.now_ms()).on_conflict_do_nothing()
    )
    found = find(connection, **known, form=row["format"])
    if found is None:
        raise AssertionError("a row that was inserted, or was there, is there")
    return found


def training_data(
    connection: sa.Connection, asked: Mapping[str, Any], *, tenant_id: str, job_id: str
) -> contract.DatasetPin | None:
    """Give the dataset that a version was trained on; None when that is not known.

    The API has `asked` for an export with it, when an archive brought the version; else the job that made the version
    had pinned it.
    """
    if "data" in asked:
        return contract.DatasetPin.model_validate(asked["data"])
    pinned = connection.execute(
        sa.select(tables.jobs.c.pinned).where(tables.jobs.c.id == job_id, tables.jobs.c.tenant_id == tenant_id)
    ).scalar()
    if pinned and "features" in pinned:
        return contract.FeaturesPin.model_validate(pinned["features"]).dataset
    return contract.DatasetPin.model_validate(pinned["dataset"]) if pinned and "dataset" in pinned else None
