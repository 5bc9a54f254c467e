"""Takes in the datasets of an archive that a role kept where they come from; every role that keeps datasets can."""

import dataclasses
from typing import Any

import pydantic
import sqlalchemy as sa

from shared import adoption, archives, contract, datasets, errors, objects, runtime, unpacking


class Row(contract.Document):
    """What an archive says of a dataset's version, of which a system of another release may say more."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    rows: int
    columns: list[contract.Column]
    profile: list[dict[str, pydantic.JsonValue]]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Taken:
    """A version that is ready to be kept."""

    item: archives.Item
    row: Row
    output: objects.Output


def adopt(job: runtime.Job, command: adoption.AdoptArchive) -> runtime.Finish:
    """Take in the datasets of an archive that the job's role keeps, all or none."""
    taken = [
        Taken(item, _read(item), output)
        for item, output in unpacking.unpack(job, made="dataset", file_name="data.parquet")
    ]

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        there = [
            unpacking.version_of(connection, datasets.VERSIONS, one.item, tenant_id=job.tenant_id) for one in taken
        ]
        versions = [
            unpacking.adopted(one.item, known, known or _add(connection, job, one, command=command))
            for one, known in zip(taken, there, strict=True)
        ]
        return adoption.Adopted(type="dataset", versions=versions)

    return finish


def _read(item: archives.Item) -> Row:
    try:
        return Row.model_validate(item.row)
    except pydantic.ValidationError as wrong:
        raise errors.UnsafeArtifactError(f"{item.name}@{item.version} is no dataset that Millrace wrote.") from wrong


def _add(connection: sa.Connection, job: runtime.Job, taken: Taken, *, command: adoption.AdoptArchive) -> int:
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
        lineage=unpacking.origin(taken.item, archive_sha256=command.sha256),
    )
    return datasets.add(connection, new).version
