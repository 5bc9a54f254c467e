"""Applies fitted feature sets to datasets: the command and its result."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from shared import column_names, contract, errors
from shared.recipe import compatibility
from shared.recipe.language import Recipe
from shared.recipe.step import ColumnName

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


class AppliedFeatures(contract.Result):
    """The dataset that a feature set made of another one."""

    dataset: contract.DatasetVersion = pydantic.Field(description="The version that was made.")
    history: str | None = pydantic.Field(
        default=None, description="The dataset whose rows were put before, as `name@version`; null when there was none."
    )
    notes: list[str] = pydantic.Field(description="Notes on the data, a sentence each.")


APPLY = contract.Kind(
    name="processing.apply",
    command=ApplyFeatures,
    result=AppliedFeatures,
    description="Apply a fitted feature set to a dataset, as a new version of a dataset.",
)
