"""The recipe language: declarative feature engineering, the same for every role that speaks it."""

from typing import Annotated

import pydantic

from shared import (
    contract,
    recipe_categories,
    recipe_columns,
    recipe_features,
    recipe_numbers,
    recipe_step,
    recipe_tables,
    recipe_texts,
    recipe_times,
)

Step = recipe_step.Step
ColumnsStep = recipe_step.ColumnsStep
Select = recipe_columns.Select
Drop = recipe_columns.Drop
Rename = recipe_columns.Rename
Cast = recipe_columns.Cast
Derive = recipe_columns.Derive
Filter = recipe_tables.Filter
Windowed = recipe_tables.Windowed
Lag = recipe_tables.Lag
Rolling = recipe_tables.Rolling
Impute = recipe_numbers.Impute
Scale = recipe_numbers.Scale
Bin = recipe_numbers.Bin
Log1p = recipe_numbers.Log1p
Clip = recipe_numbers.Clip
Polynomial = recipe_numbers.Polynomial
OneHot = recipe_categories.OneHot
Ordinal = recipe_categories.Ordinal
TargetEncode = recipe_categories.TargetEncode
HashEncode = recipe_categories.HashEncode
FrequencyEncode = recipe_categories.FrequencyEncode
DateParts = recipe_times.DateParts
CyclicTime = recipe_times.CyclicTime
TextStep = recipe_texts.TextStep
Tfidf = recipe_texts.Tfidf
TextHash = recipe_texts.TextHash
SelectFeatures = recipe_features.SelectFeatures
Projection = recipe_features.Projection
Pca = recipe_features.Pca
Svd = recipe_features.Svd

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
