"""Takes in the models of an archive."""

import functools
import pathlib
from typing import Any

import sqlalchemy as sa

from shared import adoption, archives, errors, kinds, runtime, unpacking
from shared.ml import artifacts
from shared.training import tables
from workers.training import store

_OWN = frozenset(
    ("tenant_id", "name", "version", "job_id", "created_by", "created_at", "deleted_at", "key", "sha256", "bytes")
)
"""Columns that are this system's own to fill, whatever an archive says."""


@runtime.job(kinds.known()["training.adopt"])
def adopt(job: runtime.Job, command: adoption.AdoptArchive) -> runtime.Finish:
    """Take in the models of an archive, all or none."""
    taken = [
        unpacking.Taken(item, read_row(item, output.path), output)
        for item, output in unpacking.unpack(job, made="model", file_name="model.skops")
    ]

    add = functools.partial(_add, job=job, archive_sha256=command.sha256)
    return unpacking.keep(job, taken, table=tables.model_versions, made="model", add=add)


def read_row(item: archives.Item, path: pathlib.Path) -> dict[str, Any]:
    """Give the columns that an archive fills, once its model is seen to load; raises UnsafeArtifactError."""
    wanted = {column.name: column for column in tables.model_versions.c if column.name not in _OWN}
    unknown, lacking = set(item.row) - set(wanted) - _OWN, _needed(wanted) - set(item.row)
    if unknown or lacking:
        raise errors.UnsafeArtifactError(
            f"The row of {item.label} is not of this release: it has {sorted(unknown)} too much, and "
            f"lacks {sorted(lacking)}."
        )
    artifacts.load(path, sha256=item.sha256)
    return {name: item.row.get(name) for name in wanted}


def _needed(columns: dict[str, sa.Column[Any]]) -> set[str]:
    return {name for name, column in columns.items() if not column.nullable}


def _add(
    connection: sa.Connection, taken: unpacking.Taken[dict[str, Any]], *, job: runtime.Job, archive_sha256: str
) -> int:
    """Keep a model as the next version of its name."""
    row = {
        **taken.row,
        "key": taken.output.key,
        "sha256": taken.item.sha256,
        "bytes": taken.item.bytes,
        "lineage": unpacking.origin(taken.item, archive_sha256=archive_sha256),
    }
    return store.add_version(connection, job, taken.item.name, row)
