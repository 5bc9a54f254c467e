"""The recipe language: declarative feature engineering, the same for every role that speaks it."""

from typing import Annotated

import pydantic

from shared import contract
from shared.recipe import categories, columns, features, numbers, tables, texts, times
from shared.recipe import step as recipe_step

Step = recipe_step.Step
ColumnsStep = recipe_step.ColumnsStep
Select = columns.Select
Drop = columns.Drop
Rename = columns.Rename
Cast = columns.Cast
Derive = columns.Derive
Filter = tables.Filter
Windowed = tables.Windowed
Lag = tables.Lag
Rolling = tables.Rolling
Impute = numbers.Impute
Scale = numbers.Scale
Bin = numbers.Bin
Log1p = numbers.Log1p
Clip = numbers.Clip
Polynomial = numbers.Polynomial
OneHot = categories.OneHot
Ordinal = categories.Ordinal
TargetEncode = categories.TargetEncode
HashEncode = categories.HashEncode
FrequencyEncode = categories.FrequencyEncode
DateParts = times.DateParts
CyclicTime = times.CyclicTime
TextStep = texts.TextStep
Tfidf = texts.Tfidf
TextHash = texts.TextHash
SelectFeatures = features.SelectFeatures
Projection = features.Projection
Pca = features.Pca
Svd = features.Svd

AnyStep = Annotated[
    Select
    | Drop
    | Rename
    | Cast
    | Derive
    | Filter
    | Lag
    | Rolling
    | Impute
    | Scale
    | Bin
    | Log1p
    | Clip
    | Polynomial
    | OneHot
    | Ordinal
    | TargetEncode
    | HashEncode
    | FrequencyEncode
    | DateParts
    | CyclicTime
    | Tfidf
    | TextHash
    | SelectFeatures
    | Pca
    | Svd,
    pydantic.Field(discriminator="op"),
]


class Recipe(contract.Document):
    """Steps, each of which sees the columns as the earlier ones left them; what no step names stays as it is.

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

    @pydantic.model_validator(mode="after")
    def _looks_at_tables_first(self) -> "Recipe":
        for number, step in enumerate(self.steps[: self.table_steps], start=1):
            if step.is_fitted:
                last = self.steps[self.table_steps - 1]
                raise ValueError(
                    f"step {self.table_steps} ({last.op}) looks at whole tables, so it can't come after step {number} "
                    f"({step.op}), which learns from data; move it before that"
                )
        return self
