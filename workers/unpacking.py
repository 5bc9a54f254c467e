"""A worker's part in taking in an archive: gives a job what its role keeps of it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives, versions
from shared.catalog.lineage import Thing, brought
from shared.objects import store
from workers.job import Job

Row = TypeVar("Row", bound=pydantic.BaseModel)
Read = TypeVar("Read")


@dataclasses.dataclass(frozen=True)
class Taken(Generic[Read]):
    """A version that is ready to be kept: its item, what was read of its row, and its object."""

    item: archives.Item
    row: Read
    output: store.Output


class Archive:
    """A job's archive: gives what the job's role keeps of it, and says where that came from."""

    def __init__(self, job: Job, command: adoption.AdoptArchive) -> None:
        """Open the archive that the API has pinned to a job."""
        self._job = job
        self._sha256 = command.sha256
        self._digests: dict[Thing, str] = {}

    def versions(self, *, made: archives.Type, file_name: str) -> Iterator[tuple[archives.Item, store.Output]]:
        """Give the versions that the job's role keeps, each with its object as an output of the job."""
        return self.items(wanted=lambda item: (item.role, item.type) == (self._job.role, made), file_name=file_name)

    def items(
        self, *, wanted: Callable[[archives.Item], bool], file_name: str
    ) -> Iterator[tuple[archives.Item, store.Output]]:
        """Give the items that are wanted, asked for in the archive's order, each with its object as an output."""
        job = self._job

        def look(item: archives.Item) -> bool:
            made = "dataset" if item.type == "fitting_data" else item.type
            self._digests[made, item.label] = item.sha256
            return wanted(item)

        with job.fetch(contract.UploadPin.model_validate(job.pinned["archive"])).open("rb") as file:
            head = archives.read_head(file)
            for number, (item, path) in enumerate(archives.read_items(file, head, into=job.scratch, wanted=look)):
                output = job.output(f"{number}-{file_name}")
                store.move(path, output.path)
                yield item, output

    def origin(self, item: archives.Item) -> dict[str, Any]:
        """Give the lineage of a version that was taken in: where it came from, and its lineage there.

        To be asked once all items were given: only then are those known that a version was made of.
        """
        source = {"type": "archive", "sha256": self._sha256, "name": item.name, "version": item.version}
        return brought(item.row.get("lineage"), source=source, digests=self._digests)


def read_row(item: archives.Item, form: type[Row], *, what: str) -> Row:
    """Read what an archive says of a version; UnsafeArtifactError, which names `what` it is not, for anything else."""
    try:
        return form.model_validate(item.row)
    except pydantic.ValidationError as wrong:
        raise errors.UnsafeArtifactError(f"{item.label} is no {what} that Millrace wrote.") from wrong


def keep(
    job: Job,
    taken: Sequence[Taken[Any]],
    *,
    table: sa.Table,
    made: archives.Type,
    add: Callable[[sa.Connection, Any], int],
) -> Callable[[sa.Connection], adoption.Adopted]:
    """Give the end of a job that keeps versions: those whose bytes are not there under their names yet are added."""

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        there = [_there(connection, table, one.item, tenant_id=job.tenant_id) for one in taken]
        kept = [
            _adopted(one.item, known, known or add(connection, one)) for one, known in zip(taken, there, strict=True)
        ]
        return adoption.Adopted(type=made, versions=kept)

    return finish


def _there(connection: sa.Connection, table: sa.Table, item: archives.Item, *, tenant_id: str) -> int | None:
    """Give the version that holds an item's bytes under its name already."""
    found = versions.find_bytes(connection, table, tenant_id=tenant_id, name=item.name, sha256=item.sha256)
    return None if found is None else int(found.version)


def _adopted(item: archives.Item, known: int | None, version: int) -> adoption.AdoptedVersion:
    return adoption.AdoptedVersion(
        name=item.name, was=item.version, version=version, sha256=item.sha256, created=known is None
    )
