"""What predicts a table: one version of a model, or those of a deployment with their places; it fits into JSON."""

import dataclasses
from typing import Any

from shared import contract
from shared.ml import signatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedVersion:
    """A version of a model that predicts some rows, and the file that it is loaded from."""

    path: str
    sha256: str
    label: str
    signature: signatures.Signature
    problem: str

    @classmethod
    def of_pin(cls, pin: contract.ModelPin, path: str) -> "PlannedVersion":
        """Plan with a version that has been fetched."""
        return cls(path=path, sha256=pin.sha256, label=pin.label, signature=pin.signature, problem=pin.problem)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """How a deployment divides rows between its versions."""

    name: str
    """The deployment's name, which seeds the places of units."""
    routes: list[dict[str, Any]]
    """In the order of the plan's versions, each with its `ranges`."""
    sticky_key: str | None
    seed: int
    """Seeds the draws of rows where no column decides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What predicts a table."""

    dataset: str
    """The path of its Parquet file."""
    versions: list[PlannedVersion]
    prefix: str = ""
    split: Split | None = None
    """None for a single version that predicts all rows, and of which no column tells."""
    batch_rows: int | None = None
    """How many rows to predict at a time; None: as many as suit the models."""

    @property
    def needs(self) -> list[str]:
        """The columns that are needed, each once."""
        names = [name for version in self.versions for name in signatures.list_columns(version.signature)]
        sticky = [self.split.sticky_key] if self.split is not None and self.split.sticky_key is not None else []
        return list(dict.fromkeys([*names, *sticky]))

    def to_document(self) -> dict[str, Any]:
        """Describe the plan in JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Plan":
        """Read what `to_document` has described."""
        split = document["split"]
        return cls(
            **{
                **document,
                "versions": [PlannedVersion(**version) for version in document["versions"]],
                "split": None if split is None else Split(**split),
            }
        )
