"""A worker's part in taking in an archive: gives a job what its role keeps of it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import pydantic
import sqlalchemy as sa

from shared import adoption, archives, contract, errors, objects, runtime

Row = TypeVar("Row", bound=pydantic.BaseModel)
Read = TypeVar("Read")


@dataclasses.dataclass(frozen=True)
class Taken(Generic[Read]):
    """A version that is ready to be kept: its item, what was read of its row, and its object."""

    item: archives.Item
    row: Read
    output: objects.Output


def unpack(job: runtime.Job, *, made: archives.Type, file_name: str) -> Iterator[tuple[archives.Item, objects.Output]]:
    """Give the versions of a job's archive that its role keeps, each with its object as an output of the job."""
    return take(job, wanted=lambda item: (item.role, item.type) == (job.role, made), file_name=file_name)


def take(
    job: runtime.Job, *, wanted: Callable[[archives.Item], bool], file_name: str
) -> Iterator[tuple[archives.Item, objects.Output]]:
    """Give the items of a job's archive that are wanted, asked for in its order, each with its object as an output."""
    archive = job.fetch(contract.UploadPin.model_validate(job.pinned["archive"]))
    with archive.open("rb") as file:
        head = archives.read_head(file)
        for number, (item, path) in enumerate(archives.read_items(file, head, into=job.scratch, wanted=wanted)):
            output = job.output(f"{number}-{file_name}")
            objects.move(path, output.path)
            yield item, output


def read_row(item: archives.Item, form: type[Row], *, what: str) -> Row:
    """Read what an archive says of a version; UnsafeArtifactError, which names `what` it is not, for anything else."""
    try:
        return form.model_validate(item.row)
    except pydantic.ValidationError as wrong:
        raise errors.UnsafeArtifactError(f"{item.label} is no {what} that Millrace wrote.") from wrong


def keep(
    job: runtime.Job,
    taken: Sequence[Taken[Any]],
    *,
    table: sa.Table,
    made: archives.Type,
    add: Callable[[sa.Connection, Any], int],
) -> runtime.Finish:
    """Give the end of a job that keeps versions: those whose bytes are not there under their names yet are added."""

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        there = [_version_of(connection, table, one.item, tenant_id=job.tenant_id) for one in taken]
        versions = [
            _adopted(one.item, known, known or add(connection, one)) for one, known in zip(taken, there, strict=True)
        ]
        return adoption.Adopted(type=made, versions=versions)

    return finish


def _version_of(connection: sa.Connection, table: sa.Table, item: archives.Item, *, tenant_id: str) -> int | None:
    """Give the version that holds an item's bytes under its name already."""
    known: int | None = connection.execute(
        sa.select(sa.func.max(table.c.version)).where(
            table.c.tenant_id == tenant_id,
            table.c.name == item.name,
            table.c.sha256 == item.sha256,
            table.c.deleted_at.is_(None),
        )
    ).scalar()
    return known


def _adopted(item: archives.Item, known: int | None, version: int) -> adoption.AdoptedVersion:
    return adoption.AdoptedVersion(
        name=item.name, was=item.version, version=version, sha256=item.sha256, created=known is None
    )


def origin(item: archives.Item, *, archive_sha256: str) -> dict[str, Any]:
    """Give the lineage of a version that was taken in: where it came from, and its lineage there."""
    source = {"type": "archive", "sha256": archive_sha256, "name": item.name, "version": item.version}
    return {"source": source, "original": item.row.get("lineage")}
