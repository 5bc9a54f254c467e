"""The storage role's commands and results."""

from typing import Annotated, Literal

import pydantic

from shared import contract, ping
from shared.catalog import archives

MAX_LISTED = 1000
"""The most entries in each list of a result; the counts are always complete."""

# The API pins what the rows of every role point at, because no worker reads another role's database.
_Holdings = Annotated[
    Literal["now"],
    pydantic.Field(
        default="now", description="The objects that the rows of all roles point at when the job is accepted."
    ),
]


class VerifyObjects(contract.Command):
    """Hash every object that a row points at, and find those that are missing, damaged or orphaned."""

    holdings: _Holdings = "now"


class PruneObjects(contract.Command):
    """Retire old versions by a rule, and delete the objects that nothing points at.

    Nothing is retired unless `older_than_days` or `keep_last` is given; when both are, a version must fit both. The
    latest version of a name, a model's version with an alias, and versions that a row or a live job points at are never
    retired.
    """

    older_than_days: float | None = pydantic.Field(
        default=None, ge=0, le=36500, description="Retire versions that are older than this many days."
    )
    keep_last: int | None = pydantic.Field(
        default=None, ge=1, le=1_000_000, description="Retire all versions but this many of the newest of each name."
    )
    types: list[contract.Kept] = pydantic.Field(
        default=["dataset", "features", "model"], max_length=3, description="Retire versions of these types only."
    )
    names: list[archives.StoredName] = pydantic.Field(
        default=[], max_length=1000, description="Retire versions of these names only; of all names when empty."
    )
    grace_hours: float = pydantic.Field(
        default=24.0,
        ge=1,
        le=24 * 365,
        description="Hours for which an object stays after it was written, and after the last pointer to it is gone.",
    )
    dry_run: bool = pydantic.Field(default=True, description="Only report what would be retired and deleted.")
    holdings: _Holdings = "now"


class ExportArchive(contract.Command):
    """Pack a dataset, a feature set, a model, or everything that the tenant has, into one archive."""

    what: Literal[contract.Kept, "tenant"] = pydantic.Field(
        description="The type of what to pack; `tenant` packs everything."
    )
    name: archives.StoredName | None = pydantic.Field(
        default=None, description="The name of the dataset, feature set or model."
    )
    version: int | None = pydantic.Field(
        default=None, ge=1, le=2**31 - 1, description="The version to pack; all versions when left out."
    )
    holdings: _Holdings = "now"

    @pydantic.model_validator(mode="after")
    def _check(self) -> "ExportArchive":
        if (self.what == "tenant") != (self.name is None):
            raise ValueError(
                f"`what` is {self.what!r}: a dataset, feature set or model needs a `name`, and `tenant` takes none"
            )
        if self.name is None and self.version is not None:
            raise ValueError("a `version` needs a `name`")
        return self


class Trouble(contract.Document):
    """An object that is missing, or differs from what its row says."""

    key: str = pydantic.Field(description="The object's key in the store.")
    of: str = pydantic.Field(description="What points at it, such as `dataset telco@3`.")
    detail: str = pydantic.Field(description="What is wrong with it.")


class Verified(contract.Result):
    """Which objects are missing, damaged, orphaned or foreign."""

    objects: int = pydantic.Field(description="How many objects rows point at; all of them were checked.")
    bytes: int = pydantic.Field(description="How many bytes were hashed.")
    sound: int = pydantic.Field(description="How many objects are as their rows say.")
    missing_count: int = pydantic.Field(description="How many are not in the store.")
    missing: list[Trouble] = pydantic.Field(description="The first 1,000 that are not in the store.")
    damaged_count: int = pydantic.Field(description="How many have another size or SHA-256.")
    damaged: list[Trouble] = pydantic.Field(description="The first 1,000 with another size or SHA-256.")
    orphaned_count: int = pydantic.Field(
        description="How many objects older than an hour have nothing that points at them; pruning deletes them."
    )
    orphaned_bytes: int = pydantic.Field(description="Their size in bytes.")
    orphaned: list[str] = pydantic.Field(description="The first 1,000 of their keys.")
    foreign_count: int = pydantic.Field(
        description="How many files have names that Millrace can't have given them; they are left alone."
    )
    foreign: list[str] = pydantic.Field(description="The first 1,000 of their names.")


class Retired(contract.Document):
    """A version that the rule retires."""

    type: contract.Kept = pydantic.Field(description="What it is a version of.")
    name: str = pydantic.Field(description="Its name.")
    version: int = pydantic.Field(description="Its number.")
    bytes: int = pydantic.Field(description="The size of its object, in bytes.")


class Pruned(contract.Result):
    """The objects that were deleted, or in a dry run would be."""

    dry_run: bool = pydantic.Field(description="Whether this was a dry run, which deletes nothing.")
    retired_count: int = pydantic.Field(
        description="How many versions the rule retires, as of the moment the job was accepted."
    )
    retired: list[Retired] = pydantic.Field(description="The first 1,000 of them; their objects stay for the grace.")
    deleted_count: int = pydantic.Field(description="How many objects were deleted.")
    deleted_bytes: int = pydantic.Field(description="Their size in bytes.")
    deleted: list[str] = pydantic.Field(description="The first 1,000 of their keys.")
    waiting_count: int = pydantic.Field(description="How many objects nothing points at, but whose grace is not over.")
    waiting_bytes: int = pydantic.Field(description="Their size in bytes.")
    kept_count: int = pydantic.Field(description="How many objects a row or a live job points at.")
    kept_bytes: int = pydantic.Field(description="Their size in bytes.")
    foreign_count: int = pydantic.Field(
        description="How many files have names that Millrace can't have given them; they are left alone."
    )
    foreign: list[str] = pydantic.Field(description="The first 1,000 of their names.")


class Packed(contract.Document):
    """A version in an archive."""

    type: contract.Kept = pydantic.Field(description="What it is a version of.")
    name: str = pydantic.Field(description="Its name.")
    version: int = pydantic.Field(description="Its number in this system.")
    sha256: str = pydantic.Field(description="SHA-256 of its object.")


class Archive(contract.Document):
    """An archive in the store."""

    id: str = pydantic.Field(description="Its id; GET /v1/storage/archives/{id}/content downloads it.")
    bytes: int = pydantic.Field(description="Its size in bytes.")
    sha256: str = pydantic.Field(description="Its SHA-256.")
    count: int = pydantic.Field(description="How many versions it holds.")
    items: list[Packed] = pydantic.Field(description="The first 1,000 of them.")


class Exported(contract.Result):
    """The archive that was written."""

    archive: Archive = pydantic.Field(description="The archive.")


VERIFY = contract.Kind(
    name="storage.verify",
    command=VerifyObjects,
    result=Verified,
    description="Hash every object that a row points at; report those that are missing, damaged or orphaned.",
    stores=False,
)
PRUNE = contract.Kind(
    name="storage.prune",
    command=PruneObjects,
    result=Pruned,
    description="Retire old versions by a rule, and delete objects that nothing points at; a dry run by default.",
    stores=False,
)
EXPORT = contract.Kind(
    name="storage.export",
    command=ExportArchive,
    result=Exported,
    description="Pack a dataset, a feature set, a model or the whole tenant into one archive.",
)
PING = ping.kind_for("storage")
KINDS = (VERIFY, PRUNE, EXPORT, PING)
