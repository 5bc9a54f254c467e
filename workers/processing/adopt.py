"""Adopts the feature sets of an archive, each with the dataset that it was fitted on."""

import functools

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives
from shared.ml import trial_loading
from shared.objects.store import Output
from shared.processing import tables
from shared.recipe.language import Recipe
from workers import unpacking
from workers.job import Finish, Job
from workers.processing import feature_set, store


class Row(contract.Document):
    """A feature set's version as an archive describes it; a system of another release may have written more fields."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    recipe: Recipe
    columns: list[str]
    dataset: contract.DatasetPin
    notes: list[str]
    target: str | None = None


class _Selector:
    """Selects the feature sets of an archive, and of the items after them the data that they were fitted on, once."""

    def __init__(self) -> None:
        self._needed_data: set[str] = set()

    def __call__(self, item: archives.Item) -> bool:
        if item.type == "features":
            self._needed_data.add(_read_row(item).dataset.sha256)
            return True
        if item.sha256 in self._needed_data:
            self._needed_data.remove(item.sha256)
            return True
        return False


def adopt_features(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Adopt the feature sets of an archive, all or none."""
    archive = unpacking.Archive(job, command)
    versions: list[unpacking.UnpackedVersion[Row]] = []
    data: dict[str, Output] = {}
    found = archive.items(select=_Selector(), file_name="object")
    trial_loading.require_loadable(
        [
            trial_loading.Artifact(str(output.path), item.sha256, item.label)
            for item, output in found
            if item.type == "features"
        ]
    )
    for item, output in found:
        if item.type == "features":
            target = feature_set.FeatureSet.load(output.path, sha256=item.sha256).target
            # Archives of earlier releases name the target in the feature set's own file only.
            row = _read_row(item).model_copy(update={"target": target and target.name})
            versions.append(unpacking.UnpackedVersion(item, row, output))
        else:
            data[item.sha256] = output
    for version in versions:
        if version.row.dataset.sha256 not in data:
            raise errors.UnsafeArtifactError(f"The archive lacks the data that {version.item.label} was fitted on.")

    add = functools.partial(_add, job=job, data=data, archive=archive)
    return unpacking.keep_versions(job, versions, table=tables.feature_versions, type_="features", add=add)


def _read_row(item: archives.Item) -> Row:
    return unpacking.read_row(item, Row, what="feature set")


def _add(
    connection: sa.Connection,
    version: unpacking.UnpackedVersion[Row],
    *,
    job: Job,
    data: dict[str, Output],
    archive: unpacking.Archive,
) -> int:
    """Write a version; the dataset that it was fitted on keeps its name, and gets its object key in this system."""
    pin = version.row.dataset
    return store.add_features(
        connection,
        job,
        version.item.name,
        row={
            "key": version.output.key,
            "sha256": version.item.sha256,
            "bytes": version.item.bytes,
            "recipe": version.row.recipe.model_dump(mode="json"),
            "columns": version.row.columns,
            "dataset": pin.model_copy(update={"key": data[pin.sha256].key}).model_dump(mode="json"),
            "notes": version.row.notes,
            "target": version.row.target,
            "lineage": archive.lineage_of(version.item),
            **unpacking.read_marks(version.item),
        },
    )
