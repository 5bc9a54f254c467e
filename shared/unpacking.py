"""A worker's part in taking in an archive: gives a job what its role keeps of it."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from shared import adoption, archives, contract, objects, runtime


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


def version_of(connection: sa.Connection, table: sa.Table, item: archives.Item, *, tenant_id: str) -> int | None:
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


def adopted(item: archives.Item, known: int | None, version: int) -> adoption.AdoptedVersion:
    """Say what became of an item, which was there as `known` already or is new."""
    return adoption.AdoptedVersion(
        name=item.name, was=item.version, version=version, sha256=item.sha256, created=known is None
    )


def origin(item: archives.Item, *, archive_sha256: str) -> dict[str, Any]:
    """Give the lineage of a version that was taken in: where it came from, and its lineage there."""
    source = {"type": "archive", "sha256": archive_sha256, "name": item.name, "version": item.version}
    return {"source": source, "original": item.row.get("lineage")}
