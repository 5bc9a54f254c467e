"""Takes in the models of an archive."""

import functools
import pathlib
from typing import Any

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives, versions
from shared.catalog.lineage import note_lineage
from shared.ml import artifacts
from shared.training import aliases, tables
from workers import unpacking
from workers.job import Finish, Job
from workers.training import store

_OWN = frozenset(
    ("tenant_id", "name", "version", "job_id", "created_by", "created_at", "deleted_at", "key", "sha256", "bytes")
)
"""Columns that are this system's own to fill, whatever an archive says."""

_ALIASES = pydantic.TypeAdapter(list[contract.Name])


def adopt(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Take in the models of an archive, all or none."""
    archive = unpacking.Archive(job, command)
    taken = [
        unpacking.Taken(item, read_row(item, output.path), output)
        for item, output in archive.versions(made="model", file_name="model.skops")
    ]

    given_by = [_aliases(one.item) for one in taken]
    add = functools.partial(_add, job=job, archive=archive)
    keep = unpacking.keep(job, taken, table=tables.model_versions, made="model", add=add)

    def finish(connection: sa.Connection) -> adoption.Adopted:
        adopted = keep(connection)
        give = functools.partial(_give, connection, job=job, archive_sha256=command.sha256)
        given = [give(one, alias) for one, some in zip(adopted.versions, given_by, strict=True) for alias in some]
        return adopted.model_copy(update={"aliases": given})

    return finish


def read_row(item: archives.Item, path: pathlib.Path) -> dict[str, Any]:
    """Give the columns that an archive fills, once its model is seen to load; raises UnsafeArtifactError."""
    wanted = {column.name: column for column in tables.model_versions.c if column.name not in _OWN}
    unknown, lacking = set(item.row) - set(wanted) - _OWN - {"aliases"}, _needed(wanted) - set(item.row)
    if unknown or lacking:
        raise errors.UnsafeArtifactError(
            f"The row of {item.label} is not of this release: it has {sorted(unknown)} too much, and "
            f"lacks {sorted(lacking)}."
        )
    artifacts.load(path, sha256=item.sha256)
    return {name: item.row.get(name) for name in wanted}


def _aliases(item: archives.Item) -> list[str]:
    """Give the aliases that stood for a version; archives of releases before this one have none."""
    try:
        given = _ALIASES.validate_python(item.row.get("aliases", []))
    except pydantic.ValidationError as wrong:
        raise errors.UnsafeArtifactError(f"{item.label} has aliases that Millrace did not set.") from wrong
    if not all(map(aliases.is_free, given)):
        raise errors.UnsafeArtifactError(f"{item.label} has aliases that Millrace did not set.")
    return given


def _needed(columns: dict[str, sa.Column[Any]]) -> set[str]:
    return {name for name, column in columns.items() if not column.nullable}


def _add(
    connection: sa.Connection,
    taken: unpacking.Taken[dict[str, Any]],
    *,
    job: Job,
    archive: unpacking.Archive,
) -> int:
    """Keep a model as the next version of its name."""
    origin = archive.origin(taken.item)
    row = {
        **taken.row,
        "key": taken.output.key,
        "sha256": taken.item.sha256,
        "bytes": taken.item.bytes,
        "lineage": origin,
    }
    name = taken.item.name
    version = store.add_version(connection, job, name, row)
    note_lineage(connection, "model", f"{name}@{version}", tenant_id=job.tenant_id, job_id=job.id, lineage=origin)
    return version


def _give(
    connection: sa.Connection, one: adoption.AdoptedVersion, alias: str, *, job: Job, archive_sha256: str
) -> adoption.AdoptedAlias:
    """Let an alias that a version had stand for it here too, unless its name has that alias."""
    row = versions.pinned(
        connection, tables.model_versions, tenant_id=job.tenant_id, name=one.name, version=one.version
    )
    created = aliases.add_if_absent(connection, row, alias, changed_by=job.submitted_by, archive_sha256=archive_sha256)
    return adoption.AdoptedAlias(name=one.name, alias=alias, version=one.version, created=created)
