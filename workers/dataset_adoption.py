"""Adopts datasets from an archive: the body of this kind of job in every role that keeps datasets."""

import functools
from typing import Any

import pydantic
import sqlalchemy as sa

from shared import contract
from shared.catalog import adoption, datasets
from workers import unpacking
from workers.job import Finish, Job


class Row(contract.Document):
    """A dataset version's row in an archive; fields that only another release writes are ignored."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, pydantic.JsonValue]]
    notes: list[str]


def adopt(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Adopt the datasets of an archive that belong to the job's role, all or none."""
    archive = unpacking.Archive(job, command)
    unpacked = [
        unpacking.UnpackedVersion(item, unpacking.read_row(item, Row, what="dataset"), output)
        for item, output in archive.versions(type_="dataset", file_name="data.parquet")
    ]
    add = functools.partial(_add, job=job, archive=archive)
    return unpacking.keep_versions(job, unpacked, table=datasets.VERSIONS, type_="dataset", add=add)


def _add(
    connection: sa.Connection, unpacked: unpacking.UnpackedVersion[Row], *, job: Job, archive: unpacking.Archive
) -> int:
    profile: list[dict[str, Any]] = [dict(column) for column in unpacked.row.profile]
    new = datasets.NewVersion(
        tenant_id=job.tenant_id,
        name=unpacked.item.name,
        job_id=job.id,
        created_by=job.submitted_by,
        key=unpacked.output.key,
        sha256=unpacked.item.sha256,
        bytes=unpacked.item.bytes,
        rows=unpacked.row.rows,
        columns=unpacked.row.columns,
        profile=profile,
        notes=unpacked.row.notes,
        lineage=archive.lineage_of(unpacked.item),
        **unpacking.read_marks(unpacked.item),
    )
    return datasets.add(connection, new).version
