"""The commands and the results of the processing role."""

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from shared import column_names, contract, ping
from shared.catalog import adoption
from shared.processing.aggregates import AGGREGATE
from shared.processing.applying import APPLY
from shared.processing.joins import JOIN
from shared.processing.publications import PUBLISH
from shared.processing.splits import SPLIT
from shared.recipe import compatibility
from shared.recipe.language import Recipe


class FitFeatures(contract.Command):
    """Fit a recipe on a dataset, and keep the transformer and the transformed dataset as a feature set's version."""

    name: contract.Name = pydantic.Field(description="The feature set whose next version this makes.")
    dataset: contract.DatasetRef
    recipe: Recipe = pydantic.Field(description="The steps to fit and apply.")
    target: str | None = pydantic.Field(
        default=None,
        max_length=1000,
        description="The column that a model is to predict. It is passed on unchanged, never transformed, and may be "
        "absent where the features are applied; `all` and groups of types leave it out, and steps that learn from a "
        "target learn from this one. Without it every column is a feature, and a note says so.",
    )
    problem: Literal["classification", "regression"] | None = pydantic.Field(
        default=None,
        description="Whether such steps treat the target as classes or as numbers. When left out, numbers are "
        "numbers, and text, booleans and whole numbers of at most 20 different values are classes.",
    )

    @pydantic.model_validator(mode="after")
    def _has_the_target_it_needs(self) -> "FitFeatures":
        ops = [step.op for step in self.recipe.steps if step.needs_target]
        if ops and self.target is None:
            raise ValueError(f"the step {ops[0]} learns from a target; name the column in `target`")
        return self

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the transformed rows become."""
        return (f"{self.name}-data",)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a target that the dataset lacks, and a recipe that doesn't fit the dataset."""
        dataset = contract.DatasetPin.model_validate(pinned["dataset"])
        column_names.require([self.target] if self.target else [], present=dataset.names, pointer="#/params/target")
        columns = [column for column in dataset.columns if column.name != self.target]
        compatibility.check_for_table(self.recipe, columns=columns, targets=[self.target] if self.target else [])


class FittedFeatures(contract.Result):
    """A feature set's new version."""

    class Features(contract.Result):
        """The version that was made."""

        name: str = pydantic.Field(description="The feature set's name.")
        version: int = pydantic.Field(description="The version, counted from 1.")
        columns: list[str] = pydantic.Field(description="The columns that the recipe makes, in order.")
        target: str | None = pydantic.Field(
            default=None, description="The column to predict, which is passed on; null when none was named."
        )
        sha256: str = pydantic.Field(description="SHA-256 of the fitted transformer's file.")

    class Step(contract.Result):
        """What a step has made that doesn't make one column of each."""

        step: int = pydantic.Field(description="The step, counted from 1.")
        op: str = pydantic.Field(description="What it does.")
        taken: int = pydantic.Field(description="How many columns it took; 0 for one that only adds columns.")
        columns: int = pydantic.Field(description="How many columns it made of them.")

    features: Features = pydantic.Field(description="The version that was made.")
    dataset: contract.DatasetVersion = pydantic.Field(
        description="The dataset that the recipe makes of the one that it was fitted on."
    )
    steps: list[Step] = pydantic.Field(
        default=[], description="The steps that changed the number of columns, with what they made of them."
    )
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


FIT = contract.Kind(
    name="processing.fit",
    command=FitFeatures,
    result=FittedFeatures,
    description="Fit a declarative recipe on a dataset, as a new version of a feature set.",
)
ADOPT = adoption.kind_for("processing.adopt", of="dataset")
ADOPT_FEATURES = adoption.kind_for("processing.adopt_features", of="features")
PING = ping.kind_for("processing")
KINDS = (FIT, APPLY, PUBLISH, SPLIT, JOIN, AGGREGATE, ADOPT, ADOPT_FEATURES, PING)
