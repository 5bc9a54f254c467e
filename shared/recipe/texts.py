"""Steps that turn texts into numbers; a missing text counts as an empty one."""

from typing import Annotated, ClassVar, Literal

import pydantic

from shared.recipe.slots import Slot
from shared.recipe.step import ColumnsStep, Scope, Takes, with_example

MAX_TEXT_FEATURES = 5_000


class TextStep(ColumnsStep):
    """What the steps on texts have in common."""

    analyzer: Literal["words", "characters"] = pydantic.Field(
        default="words", description="What to count: words of two letters or more, or characters inside words."
    )
    ngrams: list[Annotated[int, pydantic.Field(ge=1, le=10)]] = pydantic.Field(
        default=[1, 1], min_length=2, max_length=2, description="The shortest and the longest sequence to count."
    )
    lowercase: bool = pydantic.Field(default=True, description="Convert to lower case first.")

    @pydantic.model_validator(mode="after")
    def _has_ngrams_in_order(self) -> "TextStep":
        if self.ngrams[0] > self.ngrams[1]:
            raise ValueError(f"`ngrams` are {self.ngrams}; give the shorter length first")
        return self


class Tfidf(TextStep):
    """Weigh terms by how often a text contains them and how few texts do, as `<column>_<term>`."""

    model_config = with_example({"op": "tfidf", "columns": ["review"], "max_features": 200, "ngrams": [1, 2]})
    family: ClassVar[str] = "Texts"
    fewer_by: ClassVar[str] = (
        "give smaller `max_features` or `max_share`, or a greater `min_texts`, or use text_hash with few `features`"
    )
    takes: ClassVar[Takes] = "texts"

    op: Literal["tfidf"]
    max_features: int = pydantic.Field(
        default=500,
        ge=1,
        le=MAX_TEXT_FEATURES,
        description="The most terms to keep of each column: the most frequent ones.",
    )
    min_texts: int = pydantic.Field(default=1, ge=1, description="Terms that fewer texts contain are left out.")
    max_share: float = pydantic.Field(
        default=1.0, gt=0, le=1, description="Terms that a larger share of the texts contain are left out."
    )

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan a column for each term that the texts can have."""
        return [slot.spread(self.max_features)]


class TextHash(TextStep):
    """Hash terms into a fixed number of columns, scaled to length 1, as `<column>_<n>`; no term is ever unseen."""

    model_config = with_example(
        {"op": "text_hash", "columns": ["review"], "features": 256, "analyzer": "characters", "ngrams": [3, 3]}
    )
    family: ClassVar[str] = "Texts"
    fewer_by: ClassVar[str] = "give fewer `features`"
    takes: ClassVar[Takes] = "texts"
    scope: ClassVar[Scope] = "row-wise"

    op: Literal["text_hash"]
    features: int = pydantic.Field(
        default=256, ge=2, le=MAX_TEXT_FEATURES, description="How many columns to make of each."
    )

    def plan_one(self, slot: Slot) -> list[Slot]:
        """Plan that many columns."""
        return [slot.spread(self.features)]
