"""The table of the types that are kept by name and version: datasets, feature sets and models.

Code that serves all of them follows this table: pins of references, the mirror of names, lineage, archives, pruning,
deletion and usage. A new type is one more row here, and its name in `contract.Kept`.
docs/decisions/kinds.md, "One table says what a kept thing is".
"""

import dataclasses
from collections.abc import Mapping

from shared import contract


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptType:
    """A type whose instances have a name and numbered versions, each version with an object in the store."""

    pin: type[contract.VersionPin]
    """The columns of a version's row that a job pins."""
    type: contract.Kept
    """Its name in references, events, archives and lineages."""
    plural: str
    """Its name in URLs: `/v1/<plural>/{name}`."""
    adopters: Mapping[str, str]
    """The roles whose databases keep it, in the order in which a name is looked up, each with the kind of job by which
    the role adopts versions from an archive."""
    heads: str
    """The table with a row per name."""
    versions: str
    """The table with a row per version."""
    lineage_keys: tuple[str, ...]
    """The keys of a lineage whose values are versions of this type, as `name@version`."""
    aliases: str | None = None
    """The table of aliases of versions, where the type has them."""
    attachments: tuple[str, ...] = ()
    """Tables whose rows belong to a version and are deleted with it."""
    tags: str
    """The table of the tags of versions, which are among the attachments."""
    holds: str | None = None
    """The column with a pin of another version, which a version needs for as long as it exists."""

    @property
    def keepers(self) -> tuple[str, ...]:
        """The roles whose databases keep it, in the order in which a name is looked up."""
        return tuple(self.adopters)


DATASET = KeptType(
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
    lineage_keys=("base", "dataset", "right", "history"),
    tags="dataset_tags",
    attachments=("dataset_tags",),
)
FEATURES = KeptType(
    type="features",
    plural="features",
    adopters={"processing": "processing.adopt_features"},
    heads="features",
    versions="feature_versions",
    pin=contract.FeaturesPin,
    lineage_keys=("features",),
    tags="feature_tags",
    attachments=("feature_tags", "feature_publications", "pushed_rows"),
    holds="dataset",
)
MODEL = KeptType(
    type="model",
    plural="models",
    adopters={"training": "training.adopt"},
    heads="models",
    versions="model_versions",
    pin=contract.ModelPin,
    lineage_keys=("model", "parent", "baseline"),
    aliases="model_aliases",
    tags="model_tags",
    attachments=("model_exports", "model_metrics", "model_tags"),
)
TYPES: Mapping[str, KeptType] = {kept.type: kept for kept in (DATASET, FEATURES, MODEL)}
"""All kept types, by name."""

BY_TABLE: Mapping[str, KeptType] = {kept.versions: kept for kept in TYPES.values()}
"""All kept types, by their table of versions."""
