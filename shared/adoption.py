"""Taking in what an archive holds: a job of the role that keeps such things, because no other may write its rows."""

import pydantic

from shared import archives, contract

ADOPTERS: dict[str, archives.Type] = {
    "ingestion.adopt": "dataset",
    "processing.adopt": "dataset",
    "processing.adopt_features": "features",
    "prediction.adopt": "dataset",
    "training.adopt": "model",
}
"""The kinds of job that take versions in; each takes what its role kept where the archive comes from."""


class AdoptArchive(contract.Command):
    """Take in an archive's versions of one type; the door has pinned its bytes and checked who made it."""

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


def kinds_for(role: str) -> tuple[contract.Kind, ...]:
    """Give the kinds of job by which a role takes in versions; none for a role that takes in nothing."""
    return tuple(
        contract.Kind(
            name=name,
            command=AdoptArchive,
            result=Adopted,
            description=f"Take in an archive's versions of type {made}; POST /v1/storage/import submits it.",
            internal=True,
        )
        for name, made in ADOPTERS.items()
        if name.partition(".")[0] == role
    )
