"""Takes in the models of an archive."""

import dataclasses
import pathlib
from typing import Any

import sqlalchemy as sa

from shared import adoption, archives, errors, kinds, objects, runtime, unpacking
from shared.ml import artifacts
from shared.training import tables
from workers.training import store

_OWN = frozenset(
    ("tenant_id", "name", "version", "job_id", "created_by", "created_at", "deleted_at", "key", "sha256", "bytes")
)
"""Columns that are this system's own to fill, whatever an archive says."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """A version that is ready to be kept."""

    item: archives.Item
    row: dict[str, Any]
    output: objects.Output


@runtime.job(kinds.known()["training.adopt"])
def adopt(job: runtime.Job, command: adoption.AdoptArchive) -> runtime.Finish:
    """Take in the models of an archive, all or none."""
    taken = [
        Taken(item, read_row(item, output.path), output)
        for item, output in unpacking.unpack(job, made="model", file_name="model.skops")
    ]

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        there = [
            unpacking.version_of(connection, tables.model_versions, one.item, tenant_id=job.tenant_id) for one in taken
        ]
        kept = [
            unpacking.adopted(one.item, known, known or _add(connection, job, one, archive_sha256=command.sha256))
            for one, known in zip(taken, there, strict=True)
        ]
        return adoption.Adopted(type="model", versions=kept)

    return finish


def read_row(item: archives.Item, path: pathlib.Path) -> dict[str, Any]:
    """Give the columns that an archive fills, once its model is seen to load; raises UnsafeArtifactError."""
    wanted = {column.name: column for column in tables.model_versions.c if column.name not in _OWN}
    unknown, lacking = set(item.row) - set(wanted) - _OWN, _needed(wanted) - set(item.row)
    if unknown or lacking:
        raise errors.UnsafeArtifactError(
            f"The row of {item.name}@{item.version} is not of this release: it has {sorted(unknown)} too much, and "
            f"lacks {sorted(lacking)}."
        )
    artifacts.load(path, sha256=item.sha256)
    return {name: item.row.get(name) for name in wanted}


def _needed(columns: dict[str, sa.Column[Any]]) -> set[str]:
    return {name for name, column in columns.items() if not column.nullable}


def _add(connection: sa.Connection, job: runtime.Job, taken: Taken, *, archive_sha256: str) -> int:
    """Keep a model as the next version of its name."""
    row = {
        **taken.row,
        "key": taken.output.key,
        "sha256": taken.item.sha256,
        "bytes": taken.item.bytes,
        "lineage": unpacking.origin(taken.item, archive_sha256=archive_sha256),
    }
    return store.add_version(connection, job, taken.item.name, row)
