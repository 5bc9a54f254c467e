"""The commands and the results of the processing role."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from shared import column_names, contract, errors, ping
from shared.catalog import adoption
from shared.processing.aggregates import AGGREGATE
from shared.processing.joins import JOIN
from shared.processing.splits import SPLIT
from shared.recipe import compatibility
from shared.recipe.language import Recipe
from shared.recipe.step import ColumnName


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


HISTORY = (
    "The dataset whose rows are put before those of `dataset` for the steps that look at earlier rows (`lag`, "
    "`rolling`), so that these are computed as on one table; they are not written. When left out, the dataset that the "
    "feature set was fitted on, if it has such steps; `false` for none."
)
HistoryKey = Annotated[
    list[ColumnName],
    pydantic.Field(
        max_length=20,
        description="The columns that tell which rows of the history are rows of `dataset` too, and so are left out; "
        "by default rows that are equal in all columns that both have.",
    ),
]


class ApplyFeatures(contract.Command):
    """Apply a fitted feature set to a dataset, as a version of a dataset."""

    features: contract.FeaturesRef
    dataset: contract.DatasetRef
    name: contract.Name | None = pydantic.Field(
        default=None, description="The dataset to make a version of; `<features>-output` when left out."
    )
    history: contract.DatasetRef | Literal[False] | None = pydantic.Field(default=None, description=HISTORY)
    history_key: HistoryKey = pydantic.Field(default=[])

    @property
    def datasets(self) -> tuple[str, ...]:
        """The dataset that the transformed rows become."""
        return (self.name or f"{self.features.partition('@')[0]}-output",)

    def check(self, pinned: Mapping[str, Any]) -> None:
        """Refuse datasets that lack a column that the recipe is certain to need, and a history without a use."""
        features = contract.FeaturesPin.model_validate(pinned["features"])
        recipe = Recipe.model_validate(features.recipe)
        columns = [column for column in features.dataset.columns if column.name != features.target]
        earlier = self.find_history(pinned)
        for field, pin in (("dataset", contract.DatasetPin.model_validate(pinned["dataset"])), ("history", earlier)):
            if pin is not None:
                absent = {column.name for column in columns}.difference(pin.names)
                needed = compatibility.find_needed(absent, recipe, columns=columns)
                column_names.require(needed, present=pin.names, pointer=f"#/params/{field}")
                column_names.require(self.history_key, present=pin.names, pointer="#/params/history_key")
        if earlier is None and (self.history or self.history_key):
            field = "history" if self.history else "history_key"
            reason = "`history` is false" if recipe.looks_back else "no step of the recipe looks at earlier rows"
            raise errors.BadRecipeError(f"{reason}, so `{field}` has no use; leave it out", pointer=f"#/params/{field}")

    def find_history(self, pinned: Mapping[str, Any]) -> contract.DatasetPin | None:
        """Find the dataset whose rows are put before, if a step looks at earlier rows: by default the fitted one."""
        features = contract.FeaturesPin.model_validate(pinned["features"])
        if self.history is False or not Recipe.model_validate(features.recipe).looks_back:
            return None
        return contract.DatasetPin.model_validate(pinned["history"]) if self.history else features.dataset


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


class AppliedFeatures(contract.Result):
    """The dataset that a feature set made of another one."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    history: str | None = pydantic.Field(
        default=None, description="The dataset whose rows were put before, as `name@version`; null when there was none."
    )
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
KINDS = (FIT, APPLY, SPLIT, JOIN, AGGREGATE, ADOPT, ADOPT_FEATURES, PING)
