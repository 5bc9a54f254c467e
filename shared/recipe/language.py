"""The recipe language: declarative feature engineering, the same for every role."""

from typing import TYPE_CHECKING, Annotated, Union

import pydantic

from shared import contract
from shared.recipe.categories import FrequencyEncode, HashEncode, OneHot, Ordinal, TargetEncode
from shared.recipe.columns import Cast, Derive, Drop, Rename, Select
from shared.recipe.features import Pca, SelectFeatures, Svd
from shared.recipe.numbers import Bin, Clip, Impute, Log1p, Polynomial, Scale
from shared.recipe.step import Step
from shared.recipe.tables import Filter, Lag, Rolling, Windowed
from shared.recipe.texts import TextHash, Tfidf
from shared.recipe.times import CyclicTime, DateParts, FormatDates, ParseDates

STEPS: tuple[type[Step], ...] = (
    Select,
    Drop,
    Rename,
    Cast,
    Derive,
    Filter,
    Lag,
    Rolling,
    Impute,
    Scale,
    Bin,
    Log1p,
    Clip,
    Polynomial,
    OneHot,
    Ordinal,
    TargetEncode,
    HashEncode,
    FrequencyEncode,
    ParseDates,
    DateParts,
    CyclicTime,
    FormatDates,
    Tfidf,
    TextHash,
    SelectFeatures,
    Pca,
    Svd,
)
"""Every step, in the order of docs/recipe.md."""

if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = Annotated[Union[STEPS], pydantic.Field(discriminator="op")]  # noqa: UP007 - it is built from STEPS.


class Recipe(contract.Document):
    """Steps, each of which sees the columns that the earlier ones left; columns that no step names stay unchanged.

    Steps that look at whole tables (`filter`, `lag`, `rolling`) come before all that learn from data.
    """

    steps: list[AnyStep] = pydantic.Field(min_length=1, max_length=200, description="The steps, in order.")

    @property
    def needs_target(self) -> bool:
        """Whether a step learns from the target."""
        return any(step.needs_target for step in self.steps)

    @property
    def table_steps(self) -> int:
        """How many of the first steps need whole tables: those up to the last that looks at other rows."""
        return max((number for number, step in enumerate(self.steps, start=1) if step.is_table_wise), default=0)

    @property
    def looks_back(self) -> bool:
        """Whether a step looks at earlier rows."""
        return any(isinstance(step, Windowed) for step in self.steps)

    @pydantic.model_validator(mode="after")
    def _looks_at_tables_first(self) -> "Recipe":
        for number, step in enumerate(self.steps[: self.table_steps], start=1):
            if step.is_fitted:
                last = self.steps[self.table_steps - 1]
                raise ValueError(
                    f"step {self.table_steps} ({last.op}) looks at whole tables, so it can't come after step {number} "
                    f"({step.op}), which learns from data; move it before that step"
                )
        return self
