"""Takes in the feature sets of an archive, each with the data that it was fitted on."""

import dataclasses

import pydantic
import sqlalchemy as sa

from shared import adoption, archives, contract, errors, kinds, objects, recipe, runtime, unpacking
from shared.processing import tables
from workers.processing import feature_set, store


class Row(contract.Document):
    """What an archive says of a feature set's version, of which a system of another release may say more."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, strict=True)

    recipe: recipe.Recipe
    columns: list[str]
    dataset: contract.DatasetPin
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Taken:
    """A version that is ready to be kept."""

    item: archives.Item
    row: Row
    output: objects.Output


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


@runtime.job(kinds.known()["processing.adopt_features"])
def adopt_features(job: runtime.Job, command: adoption.AdoptArchive) -> runtime.Finish:
    """Take in the feature sets of an archive, all or none."""
    taken: list[Taken] = []
    data: dict[str, objects.Output] = {}
    for item, output in unpacking.take(job, wanted=_Wanted(), file_name="object"):
        if item.type == "features":
            feature_set.FeatureSet.load(output.path, sha256=item.sha256)
            taken.append(Taken(item, _read(item), output))
        else:
            data[item.sha256] = output
    for one in taken:
        if one.row.dataset.sha256 not in data:
            raise errors.UnsafeArtifactError(f"The archive lacks the data that {_label(one.item)} was fitted on.")

    def finish(connection: sa.Connection) -> adoption.Adopted:
        # Looked up before any is added: two versions of one archive may well have the same bytes.
        there = [
            unpacking.version_of(connection, tables.feature_versions, one.item, tenant_id=job.tenant_id)
            for one in taken
        ]
        versions = [
            unpacking.adopted(one.item, known, known or _add(connection, job, one, data=data, command=command))
            for one, known in zip(taken, there, strict=True)
        ]
        return adoption.Adopted(type="features", versions=versions)

    return finish


def _read(item: archives.Item) -> Row:
    try:
        return Row.model_validate(item.row)
    except pydantic.ValidationError as wrong:
        raise errors.UnsafeArtifactError(f"{_label(item)} is no feature set that Millrace wrote.") from wrong


def _label(item: archives.Item) -> str:
    return f"{item.name}@{item.version}"


def _add(
    connection: sa.Connection,
    job: runtime.Job,
    taken: Taken,
    *,
    data: dict[str, objects.Output],
    command: adoption.AdoptArchive,
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
            "lineage": unpacking.origin(taken.item, archive_sha256=command.sha256),
        },
    )
