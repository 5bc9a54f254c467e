"""Publishes feature sets for look-up: one row a key, which copies of the inference server join with requests."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from shared import contract, errors
from shared.objects.lookups import keys
from shared.processing.applying import ApplyFeatures
from shared.processing.join_keys import find_column
from shared.recipe.step import ColumnName

MAX_KEY_COLUMNS = 5
Key = Annotated[list[ColumnName], pydantic.Field(min_length=1, max_length=MAX_KEY_COLUMNS)]


class PublishFeatures(contract.Command):
    """Apply a feature set to a dataset, and publish the result as one row a key.

    What is published takes the place of what was published before of this version by this key, pushed rows included
    unless they were pushed after this job was accepted. Rows without a key are left out and counted.
    """

    features: contract.FeaturesRef
    dataset: contract.DatasetRef
    key: Key = pydantic.Field(
        description="The dataset's columns by whose values a row is looked up, such as `customerID`: texts, whole "
        "numbers, booleans, times or dates. A deployment names the same ones in the same order.",
        examples=[["customerID"]],
    )
    time: ColumnName | None = pydantic.Field(
        default=None,
        description="The dataset's time by which the latest row of each key is taken; of equal times the last row. "
        "Without it a key that comes more than once is refused.",
    )

    @pydantic.model_validator(mode="after")
    def _check_key(self) -> "PublishFeatures":
        if len(set(self.key)) < len(self.key):
            raise ValueError("`key` names a column twice")
        return self

    @property
    def as_apply(self) -> ApplyFeatures:
        """The command that makes the same rows as a dataset."""
        return ApplyFeatures(features=self.features, dataset=self.dataset)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that doesn't fit, and a key or a time that is absent or of an unfit type."""
        self.as_apply.check(pinned)
        dataset = contract.DatasetPin.model_validate(pinned["dataset"])
        for position, name in enumerate(self.key):
            column = find_column(name, dataset, pointer=f"#/params/key/{position}")
            if column.type not in keys.TYPES:
                raise errors.BadDataError(
                    f"column {name!r} is of type {column.type}; a key is of {', '.join(keys.TYPES)}",
                    pointer=f"#/params/key/{position}",
                )
        if self.time is not None:
            column = find_column(self.time, dataset, pointer="#/params/time")
            if column.type not in contract.TEMPORAL:
                raise errors.BadDataError(
                    f"column {self.time!r} is of type {column.type}; take a timestamp or a date",
                    pointer="#/params/time",
                )


class PublishedFeatures(contract.Result):
    """What was published."""

    features: str = pydantic.Field(description="The feature set's version, as `name@version`.")
    dataset: str = pydantic.Field(description="The dataset that it was applied to, as `name@version`.")
    key: list[str] = pydantic.Field(description="The columns by whose values a row is looked up.")
    rows: int = pydantic.Field(description="How many keys were published.")
    columns: list[str] = pydantic.Field(description="The columns of a row, in order.")
    bytes: int = pydantic.Field(description="The file's size in bytes, which is about the memory that a copy needs.")
    sha256: str = pydantic.Field(description="The file's SHA-256, in hexadecimal.")
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


PUBLISH = contract.Kind(
    name="processing.publish",
    command=PublishFeatures,
    result=PublishedFeatures,
    description="Publish a feature set as one row a key, for look-up by deployments.",
)
