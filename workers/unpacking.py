"""A worker's part in adopting an archive: unpacks what the job's role owns, and adds the versions that are new.

docs/decisions/storage.md, "Archives are signed, and adopted by the roles that own what is in them".
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives, marks, versions
from shared.catalog.lineage import Node, build_imported_lineage
from shared.objects import store
from workers.job import Job

RowModel = TypeVar("RowModel", bound=pydantic.BaseModel)
Row = TypeVar("Row")


@dataclasses.dataclass(frozen=True)
class UnpackedVersion(Generic[Row]):
    """A version that is ready to be added: its item, its parsed row, and its object."""

    item: archives.Item
    row: Row
    output: store.Output


class Archive:
    """The archive that a job adopts: its items that belong to the job's role, and their lineages."""

    def __init__(self, job: Job, command: adoption.AdoptArchive) -> None:
        """Refer to the archive that the API has pinned to a job; nothing is read yet."""
        self._job = job
        self._sha256 = command.sha256
        self._digests: dict[Node, str] = {}

    def versions(self, *, type_: archives.Type, file_name: str) -> list[tuple[archives.Item, store.Output]]:
        """Read the versions of a type that belong to the job's role, each with its object as a job output."""
        return self.items(select=lambda item: (item.role, item.type) == (self._job.role, type_), file_name=file_name)

    def items(
        self, *, select: Callable[[archives.Item], bool], file_name: str
    ) -> list[tuple[archives.Item, store.Output]]:
        """Read the items that `select` accepts, in the archive's order, each with its object as a job output.

        All are read before any is returned: only at its end an archive turns out to be the one that was signed, and
        before that no parser may see what is in it.
        """
        job = self._job

        def note_and_select(item: archives.Item) -> bool:
            type_ = "dataset" if item.type == "fitting_data" else item.type
            self._digests[type_, item.label] = item.sha256
            return select(item)

        found = []
        with job.fetch(contract.UploadPin.model_validate(job.pinned["archive"])).open("rb") as file:
            head = archives.read_head(file)
            for number, (item, path) in enumerate(
                archives.read_items(file, head, into=job.scratch, select=note_and_select)
            ):
                output = job.output(f"{number}-{file_name}")
                store.move(path, output.path)
                found.append((item, output))
        return found

    def lineage_of(self, item: archives.Item) -> dict[str, Any]:
        """Build the lineage of an adopted version, once all items are read: its archive, and its original lineage."""
        source = {"type": "archive", "sha256": self._sha256, "name": item.name, "version": item.version}
        return build_imported_lineage(item.row.get("lineage"), source=source, digests=self._digests)


def read_row(item: archives.Item, row_model: type[RowModel], *, what: str) -> RowModel:
    """Parse a version's row; UnsafeArtifactError, which says that it is no `what`, when it has another form."""
    try:
        return row_model.model_validate(item.row)
    except pydantic.ValidationError as invalid:
        raise errors.UnsafeArtifactError(f"{item.label} is no {what} that Millrace wrote.") from invalid


class _Marks(contract.Document):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    tags: marks.Tags = pydantic.Field(default=[])
    note: marks.Note | None = None


def read_marks(item: archives.Item) -> dict[str, Any]:
    """Read a version's tags and note, which archives of earlier releases don't have; raises UnsafeArtifactError."""
    return read_row(item, _Marks, what=item.type).model_dump()


def keep_versions(
    job: Job,
    unpacked: Sequence[UnpackedVersion[Any]],
    *,
    table: sa.Table,
    type_: archives.Type,
    add: Callable[[sa.Connection, Any], int],
) -> Callable[[sa.Connection], adoption.Adopted]:
    """Build the function that ends an adopting job: it adds the versions whose bytes their names don't have yet."""

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        existing = [_find_existing(connection, table, version.item, tenant_id=job.tenant_id) for version in unpacked]
        adopted = [
            _describe(version.item, number or add(connection, version), created=number is None)
            for version, number in zip(unpacked, existing, strict=True)
        ]
        return adoption.Adopted(type=type_, versions=adopted)

    return finish


def _find_existing(connection: sa.Connection, table: sa.Table, item: archives.Item, *, tenant_id: str) -> int | None:
    """Find the number of the version that already has an item's name and bytes; None when there is none."""
    row = versions.find_by_sha256(connection, table, tenant_id=tenant_id, name=item.name, sha256=item.sha256)
    return None if row is None else int(row.version)


def _describe(item: archives.Item, version: int, *, created: bool) -> adoption.AdoptedVersion:
    return adoption.AdoptedVersion(
        name=item.name, was=item.version, version=version, sha256=item.sha256, created=created
    )
