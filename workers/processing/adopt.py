"""Takes in the feature sets of an archive, each with the data that it was fitted on."""

import functools

import pydantic
import sqlalchemy as sa

from shared import contract, errors
from shared.catalog import adoption, archives
from shared.objects.store import Output
from shared.processing import tables
from shared.recipe.language import Recipe
from workers import unpacking
from workers.job import Finish, Job
from workers.processing import feature_set, store


class Row(contract.Document):
    """What an archive says of a feature set's version, of which a system of another release may say more."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    recipe: Recipe
    columns: list[str]
    dataset: contract.DatasetPin
    notes: list[str]


class _Wanted:
    """Wants the feature sets of an archive, and of what comes after them the data that they were fitted on, once."""

    def __init__(self) -> None:
        self._lacking: set[str] = set()

    def __call__(self, item: archives.Item) -> bool:
        if item.type == "features":
            self._lacking.add(_read(item).dataset.sha256)
            return True
        if item.sha256 in self._lacking:
            self._lacking.remove(item.sha256)
            return True
        return False


def adopt_features(job: Job, command: adoption.AdoptArchive) -> Finish:
    """Take in the feature sets of an archive, all or none."""
    archive = unpacking.Archive(job, command)
    taken: list[unpacking.Taken[Row]] = []
    data: dict[str, Output] = {}
    for item, output in archive.items(wanted=_Wanted(), file_name="object"):
        if item.type == "features":
            feature_set.FeatureSet.load(output.path, sha256=item.sha256)
            taken.append(unpacking.Taken(item, _read(item), output))
        else:
            data[item.sha256] = output
    for one in taken:
        if one.row.dataset.sha256 not in data:
            raise errors.UnsafeArtifactError(f"The archive lacks the data that {one.item.label} was fitted on.")

    add = functools.partial(_add, job=job, data=data, archive=archive)
    return unpacking.keep(job, taken, table=tables.feature_versions, made="features", add=add)


def _read(item: archives.Item) -> Row:
    return unpacking.read_row(item, Row, what="feature set")


def _add(
    connection: sa.Connection,
    taken: unpacking.Taken[Row],
    *,
    job: Job,
    data: dict[str, Output],
    archive: unpacking.Archive,
) -> int:
    """Write a version; what it was fitted on keeps the name that it had, and has a key of this system."""
    pin = taken.row.dataset
    return store.add_features(
        connection,
        job,
        taken.item.name,
        row={
            "key": taken.output.key,
            "sha256": taken.item.sha256,
            "bytes": taken.item.bytes,
            "recipe": taken.row.recipe.model_dump(mode="json"),
            "columns": taken.row.columns,
            "dataset": pin.model_copy(update={"key": data[pin.sha256].key}).model_dump(mode="json"),
            "notes": taken.row.notes,
            "lineage": archive.origin(taken.item),
        },
    )
