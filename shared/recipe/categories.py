"""Steps that turn categories into numbers."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe.slots import Slot
from shared.recipe.step import ColumnsStep, Scope, Seed, with_example


class OneHot(ColumnsStep):
    """Make a 0/1 column of each category; one unseen in fitting becomes all zeros, unless `unseen` says otherwise."""

    model_config = with_example({"op": "one_hot", "columns": ["town"], "max_categories": 20, "min_frequency": 5})
    family: ClassVar[str] = "Categories"
    fewer_by: ClassVar[str] = (
        "give a smaller `max_categories` or a `min_frequency`, or use hash_encode, frequency_encode or target_encode"
    )
    keeps_missing: ClassVar[bool] = True

    op: Literal["one_hot"]
    max_categories: int = pydantic.Field(
        default=100, ge=2, le=1000, description="The most columns to make of each; rarer categories share one."
    )
    min_frequency: Annotated[int, pydantic.Field(ge=1)] | Annotated[float, pydantic.Field(gt=0, lt=1)] | None = (
        pydantic.Field(
            default=None, description="Categories of fewer rows, or of a smaller share of the rows, share one column."
        )
    )
    unseen: Literal["zeros", "rare", "fail"] = pydantic.Field(
        default="zeros",
        description="What a category unseen in fitting becomes: all zeros, one of the rare ones (zeros when there are "
        "none), or an error.",
    )

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column for each category that there can be."""
        return [slot.spread(self.max_categories, by_category=True)]


class Ordinal(ColumnsStep):
    """Number the categories; one unseen in fitting, or not among `categories`, becomes -1.

    Missing values stay missing, unless `categories` are left out and nothing was missing in fitting: then they are -1.
    """

    model_config = with_example({"op": "ordinal", "columns": ["size"], "categories": ["small", "medium", "big"]})
    family: ClassVar[str] = "Categories"
    keeps_missing: ClassVar[bool] = True

    op: Literal["ordinal"]
    categories: list[str] | None = pydantic.Field(
        default=None, max_length=10_000, description="The categories in their order; sorted when left out."
    )

    def find_mismatch(self, slot: Slot) -> str | None:
        """Refuse `categories`, which are text, for a numeric column."""
        if self.categories and slot.type_group == "numeric":
            return "is numeric; `categories` are for text"
        return super().find_mismatch(slot)


class TargetEncode(ColumnsStep):
    """Replace a category by the target's mean in its rows, shrunk towards the mean of all rows.

    With three or more classes it makes a column of each. The rows that fitting learns from are encoded by the other
    folds' rows alone, so that no row's target reaches its own features.
    """

    model_config = with_example({"op": "target_encode", "columns": ["town"], "folds": 5, "seed": 7})
    family: ClassVar[str] = "Categories"
    fewer_by: ClassVar[str] = "choose fewer columns, or use frequency_encode"

    op: Literal["target_encode"]
    smooth: Annotated[float, pydantic.Field(ge=0, le=1e12)] | Literal["auto"] = pydantic.Field(
        default="auto",
        description="How many rows the mean of all rows counts as; `auto` chooses by the variance in each category.",
    )
    folds: int = pydantic.Field(default=5, ge=2, le=50, description="How many folds to cross-fit with.")
    seed: Seed = pydantic.Field(default=0, description="Seeds the folds.")

    @property
    def needs_target(self) -> bool:
        """Whether the step learns from the target too."""
        return True

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column, or one for each class."""
        return [slot.spread(1)]


class HashEncode(ColumnsStep):
    """Hash categories into a fixed number of columns, as `<column>_<n>`; no category is ever unseen."""

    model_config = with_example({"op": "hash_encode", "columns": ["product"], "features": 16})
    family: ClassVar[str] = "Categories"
    fewer_by: ClassVar[str] = "give fewer `features`"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["hash_encode"]
    features: int = pydantic.Field(default=16, ge=2, le=1024, description="How many columns to make of each.")

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan that many columns."""
        return [slot.spread(self.features)]


class FrequencyEncode(ColumnsStep):
    """Replace a category by its share of the rows; one unseen in fitting gets 0, and missing counts as a category."""

    model_config = with_example({"op": "frequency_encode", "columns": ["town"]})
    family: ClassVar[str] = "Categories"

    op: Literal["frequency_encode"]
