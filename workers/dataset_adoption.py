"""Takes in the datasets of an archive that a role kept where they come from; every role that keeps datasets can."""

import functools
from typing import Any

import pydantic
import sqlalchemy as sa

from shared import contract
from shared.catalog import adoption, datasets
from workers import unpacking
from workers.job import Finish, Job


class Row(contract.Document):
    """What an archive says of a dataset's version, of which a system of another release may say more."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, pydantic.JsonValue]]
    notes: list[str]


def adopt(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Take in the datasets of an archive that the job's role keeps, all or none."""
    archive = unpacking.Archive(job, command)
    taken = [
        unpacking.Taken(item, unpacking.read_row(item, Row, what="dataset"), output)
        for item, output in archive.versions(made="dataset", file_name="data.parquet")
    ]
    add = functools.partial(_add, job=job, archive=archive)
    return unpacking.keep(job, taken, table=datasets.VERSIONS, made="dataset", add=add)


def _add(connection: sa.Connection, taken: unpacking.Taken[Row], *, job: Job, archive: unpacking.Archive) -> int:
    profile: list[dict[str, Any]] = [dict(column) for column in taken.row.profile]
    new = datasets.NewVersion(
        tenant_id=job.tenant_id,
        name=taken.item.name,
        job_id=job.id,
        created_by=job.submitted_by,
        key=taken.output.key,
        sha256=taken.item.sha256,
        bytes=taken.item.bytes,
        rows=taken.row.rows,
        columns=taken.row.columns,
        profile=profile,
        notes=taken.row.notes,
        lineage=archive.origin(taken.item),
    )
    return datasets.add(connection, new).version
