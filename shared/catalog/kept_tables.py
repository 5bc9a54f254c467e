"""The one table of the things that are kept by name and version: what each is called, who keeps it, and where.

Whatever serves all kept things follows from it: pins of references, the mirror of names, lineage, archives, pruning,
deletion and usage. A new kept thing is one more row here, and its name in `contract.Kept`.
"""

import dataclasses
from collections.abc import Mapping

from shared import contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptThing:
    """A type of thing that has a name and numbered versions, each with an object in the store."""

    pin: type[contract.VersionPin]
    """What a job pins of a version's row."""
    type: contract.Kept
    """Its name in references, events, archives and lineages."""
    plural: str
    """Its name in paths: `/v1/<plural>/{name}`."""
    adopters: Mapping[str, str]
    """The roles whose databases keep it, in the order in which a name is looked up, each with the kind of job by which
    the role takes versions in from an archive."""
    heads: str
    """The table with a row a name."""
    versions: str
    """The table with a row a version."""
    lineage_keys: tuple[str, ...]
    """The keys of a lineage that name such a thing as `name@version`."""
    aliases: str | None = None
    """The table of words that stand for a version, where there are such."""
    attachments: tuple[str, ...] = ()
    """Tables whose rows belong to a version and go with it."""
    holds: str | None = None
    """The column that pins another thing, which a version needs for as long as it lives."""

    @property
    def keepers(self) -> tuple[str, ...]:
        """The roles whose databases keep it, in the order in which a name is looked up."""
        return tuple(self.adopters)


DATASET = KeptThing(
    type="dataset",
    plural="datasets",
    adopters={
        "ingestion": "ingestion.adopt",
        "processing": "processing.adopt",
        "prediction": "prediction.adopt",
    },
    heads="datasets",
    versions="dataset_versions",
    pin=contract.DatasetPin,
    lineage_keys=("base", "dataset"),
)
FEATURES = KeptThing(
    type="features",
    plural="features",
    adopters={"processing": "processing.adopt_features"},
    heads="features",
    versions="feature_versions",
    pin=contract.FeaturesPin,
    lineage_keys=("features",),
    holds="dataset",
)
MODEL = KeptThing(
    type="model",
    plural="models",
    adopters={"training": "training.adopt"},
    heads="models",
    versions="model_versions",
    pin=contract.ModelPin,
    lineage_keys=("model", "parent", "baseline"),
    aliases="model_aliases",
    attachments=("model_exports",),
)
THINGS: Mapping[str, KeptThing] = {thing.type: thing for thing in (DATASET, FEATURES, MODEL)}
"""All kept things, by type."""

BY_TABLE: Mapping[str, KeptThing] = {thing.versions: thing for thing in THINGS.values()}
"""All kept things, by their table of versions."""
