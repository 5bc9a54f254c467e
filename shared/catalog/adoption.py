"""Taking in what an archive holds: a job of the role that keeps such things, because no other may write its rows."""

from typing import ClassVar

import pydantic

from shared import contract
from shared.catalog import archives


class AdoptArchive(contract.Command):
    """Take in an archive's versions of one type; the API has pinned its bytes and checked who made it."""

    makes_any_dataset: ClassVar[bool] = True

    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the archive.")


class AdoptedVersion(contract.Document):
    """What became of a version in an archive."""

    name: str = pydantic.Field(description="Its name.")
    was: int = pydantic.Field(description="Its number, where it came from.")
    version: int = pydantic.Field(description="Its number here.")
    sha256: str = pydantic.Field(description="SHA-256 of its object.")
    created: bool = pydantic.Field(description="Whether it is new here; else a version with these bytes was there.")


class AdoptedAlias(contract.Document):
    """What became of a model's alias in an archive."""

    name: str = pydantic.Field(description="The model's name.")
    alias: str = pydantic.Field(description="The alias.")
    version: int = pydantic.Field(description="What it stood for where it came from, by its number here.")
    created: bool = pydantic.Field(description="Whether it was set; else the name had it, and nothing was changed.")


class Adopted(contract.Result):
    """What was taken in."""

    type: archives.Type = pydantic.Field(description="What the versions are of.")
    versions: list[AdoptedVersion] = pydantic.Field(description="The versions, in the archive's order.")
    aliases: list[AdoptedAlias] = pydantic.Field(default=[], description="The aliases of models.")


def kind_for(name: str, *, of: archives.Type) -> contract.Kind:
    """Make the kind of job by which a role takes in versions of one type; only the API submits it."""
    return contract.Kind(
        name=name,
        command=AdoptArchive,
        result=Adopted,
        description=f"Take in an archive's versions of type {of}; POST /v1/storage/import submits it.",
        internal=True,
    )
