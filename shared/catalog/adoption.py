"""Adopting an archive's versions: a job of the role that owns them, because no other role may write its rows."""

from typing import ClassVar

import pydantic

from shared import contract
from shared.catalog import archives


class AdoptArchive(contract.Command):
    """Adopt an archive's versions of one type; the API has pinned the archive's bytes and checked its signature."""

    makes_any_dataset: ClassVar[bool] = True

    sha256: str = pydantic.Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the archive.")


class AdoptedVersion(contract.Document):
    """Under which number a version of an archive is stored here."""

    name: str = pydantic.Field(description="Its name.")
    was: int = pydantic.Field(description="Its number in the system that it was exported from.")
    version: int = pydantic.Field(description="Its number here.")
    sha256: str = pydantic.Field(description="SHA-256 of its object.")
    created: bool = pydantic.Field(
        description="Whether it was added; false when its name already had a version with these bytes."
    )


class AdoptedAlias(contract.Document):
    """Whether a model's alias of an archive was set here."""

    name: str = pydantic.Field(description="The model's name.")
    alias: str = pydantic.Field(description="The alias.")
    version: int = pydantic.Field(
        description="The number, here, of the version that it named in the system that it was exported from."
    )
    created: bool = pydantic.Field(
        description="Whether it was set; false when the model already had this alias, which then stays as it is."
    )


class Adopted(contract.Result):
    """The versions and aliases that were adopted."""

    type: archives.Type = pydantic.Field(description="The type of the versions.")
    versions: list[AdoptedVersion] = pydantic.Field(description="The versions, in the archive's order.")
    aliases: list[AdoptedAlias] = pydantic.Field(default=[], description="The aliases of models.")


def kind_for(name: str, *, of: archives.Type) -> contract.Kind:
    """Build the kind of job by which a role adopts versions of one type; only the API submits it."""
    return contract.Kind(
        name=name,
        command=AdoptArchive,
        result=Adopted,
        description=f"Adopt an archive's versions of type {of}; POST /v1/storage/import submits it.",
        internal=True,
    )
