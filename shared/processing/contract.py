"""The commands and the results of the processing role."""

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from shared import column_names, contract, ping
from shared.catalog import adoption
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
        description="A column that is passed on unchanged, never transformed; steps that learn from a target learn "
        "from this one.",
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
        compatibility.check_for_table(self.recipe, columns=columns)


class ApplyFeatures(contract.Command):
    """Apply a fitted feature set to a dataset, as a version of a dataset."""

    features: contract.FeaturesRef
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset to make a version of; `<features>-output` when left out."
    )

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the transformed rows become."""
        return (self.name or f"{self.features.partition('@')[0]}-output",)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse a dataset that lacks a column that the recipe is certain to need."""
        features = contract.FeaturesPin.model_validate(pinned["features"])
        present = contract.DatasetPin.model_validate(pinned["dataset"]).names
        needed = compatibility.find_needed(
            set(features.dataset.names).difference(present),
            Recipe.model_validate(features.recipe),
            columns=features.dataset.columns,
        )
        column_names.require(needed, present=present, pointer="#/params/dataset")


class FittedFeatures(contract.Result):
    """A feature set's new version."""

    class Features(contract.Result):
        """The version that was made."""

        name: str = pydantic.Field(description="The feature set's name.")
        version: int = pydantic.Field(description="The version, counted from 1.")
        columns: list[str] = pydantic.Field(description="The columns that the recipe makes, in order.")
        sha256: str = pydantic.Field(description="SHA-256 of the fitted transformer's file.")

    features: Features = pydantic.Field(description="The version that was made.")
    dataset: contract.DatasetVersion = pydantic.Field(
        description="The dataset that the recipe makes of the one that it was fitted on."
    )
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


class AppliedFeatures(contract.Result):
    """The dataset that a feature set made of another one."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


FIT = contract.Kind(
    name="processing.fit",
    command=FitFeatures,
    result=FittedFeatures,
    description="Fit a declarative recipe on a dataset, as a new version of a feature set.",
)
APPLY = contract.Kind(
    name="processing.apply",
    command=ApplyFeatures,
    result=AppliedFeatures,
    description="Apply a fitted feature set to a dataset, as a new version of a dataset.",
)
ADOPT = adoption.kind_for("processing.adopt", of="dataset")
ADOPT_FEATURES = adoption.kind_for("processing.adopt_features", of="features")
PING = ping.kind_for("processing")
KINDS = (FIT, APPLY, ADOPT, ADOPT_FEATURES, PING)
