"""Adopts the models of an archive as versions of this system."""

import functools
from typing import Any

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives, versions
from shared.catalog.lineage import note_lineage
from shared.ml import trial_loading
from shared.training import aliases, tables
from workers import unpacking
from workers.job import Finish, Job
from workers.training import store

_OWN_COLUMNS = frozenset(
    (
        *("tenant_id", "name", "version", "job_id", "created_by", "created_at", "deleted_at", "key", "sha256", "bytes"),
        *("dataset_label", "dataset_name"),
    )
)
"""Columns that this system fills itself, whatever an archive says."""

_ALIASES = pydantic.TypeAdapter(list[contract.Name])


def adopt(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Adopt the models of an archive, all or none."""
    archive = unpacking.Archive(job, command)
    found = archive.versions(type_="model", file_name="model.skops")
    trial_loading.require_loadable(
        [trial_loading.Artifact(str(output.path), item.sha256, item.label) for item, output in found]
    )
    unpacked = [unpacking.UnpackedVersion(item, read_row(item), output) for item, output in found]
    aliases_of = [_read_aliases(version.item) for version in unpacked]
    add = functools.partial(_add, job=job, archive=archive)
    keep = unpacking.keep_versions(job, unpacked, table=tables.model_versions, type_="model", add=add)

    def finish(connection: sa.Connection) -> adoption.Adopted:
        adopted = keep(connection)
        add_alias = functools.partial(_add_alias, connection, job=job, archive_sha256=command.sha256)
        added = [
            add_alias(version, alias)
            for version, names in zip(adopted.versions, aliases_of, strict=True)
            for alias in names
        ]
        return adopted.model_copy(update={"aliases": added})

    return finish


def read_row(item: archives.Item) -> dict[str, Any]:
    """Return the columns that an archive fills; raises UnsafeArtifactError."""
    columns = {column.name: column for column in tables.model_versions.c if column.name not in _OWN_COLUMNS}
    unknown = set(item.row) - set(columns) - _OWN_COLUMNS - {"aliases"}
    missing = _required_columns(columns) - set(item.row) - {"tags"}
    if unknown or missing:
        raise errors.UnsafeArtifactError(
            f"The row of {item.label} is not of this release: it has the unknown columns {sorted(unknown)}, and "
            f"lacks {sorted(missing)}."
        )
    return {name: item.row.get(name) for name in columns} | unpacking.read_marks(item)


def _read_aliases(item: archives.Item) -> list[str]:
    """Read the aliases that pointed at a version; archives of earlier releases have none."""
    try:
        names = _ALIASES.validate_python(item.row.get("aliases", []))
    except pydantic.ValidationError as error:
        raise errors.UnsafeArtifactError(f"{item.label} has aliases that Millrace did not set.") from error
    if not all(map(aliases.can_be_alias, names)):
        raise errors.UnsafeArtifactError(f"{item.label} has aliases that Millrace did not set.")
    return names


def _required_columns(columns: dict[str, sa.Column[Any]]) -> set[str]:
    return {name for name, column in columns.items() if not column.nullable}


def _add(
    connection: sa.Connection,
    unpacked: unpacking.UnpackedVersion[dict[str, Any]],
    *,
    job: Job,
    archive: unpacking.Archive,
) -> int:
    """Write a model as the next version of its name."""
    origin = archive.lineage_of(unpacked.item)
    row = {
        **unpacked.row,
        "key": unpacked.output.key,
        "sha256": unpacked.item.sha256,
        "bytes": unpacked.item.bytes,
        "lineage": origin,
    }
    name = unpacked.item.name
    version = store.add_version(connection, job, name, row)
    note_lineage(connection, "model", f"{name}@{version}", tenant_id=job.tenant_id, job_id=job.id, lineage=origin)
    return version


def _add_alias(
    connection: sa.Connection, version: adoption.AdoptedVersion, alias: str, *, job: Job, archive_sha256: str
) -> adoption.AdoptedAlias:
    """Point a version's former alias at it here too, unless the model has that alias already."""
    row = versions.read_pinned(
        connection, tables.model_versions, tenant_id=job.tenant_id, name=version.name, version=version.version
    )
    created = aliases.add_if_absent(connection, row, alias, changed_by=job.submitted_by, archive_sha256=archive_sha256)
    return adoption.AdoptedAlias(name=version.name, alias=alias, version=version.version, created=created)
