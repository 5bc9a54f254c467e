"""How much a model depends on each column: what is asked of training and evaluations, and what they answer."""

import pydantic

from shared import contract
from shared.figures import curves

PROBLEMS = ("classification", "multilabel", "regression", "quantile")
"""The problems whose models are explained: those whose predictions have a truth in every row."""


class PermutationImportance(contract.Document):
    """How much worse the model scores on held-out rows when a column's values are shuffled."""

    repeats: int = pydantic.Field(default=5, ge=1, le=30, description="How often each column is shuffled.")
    max_rows: int = pydantic.Field(default=10_000, ge=10, le=100_000, description="The most rows, drawn by the seed.")


class Importance(contract.Result):
    """How much worse the metric is with a column's values shuffled."""

    column: str = pydantic.Field(description="The raw column.")
    mean: float = pydantic.Field(description="The mean loss of the metric over the repeats.")
    std: float = pydantic.Field(description="Its standard deviation (population).")


class PermutationImportances(contract.Result):
    """How much a model depends on each column, the most important first."""

    metric: str = pydantic.Field(description="The metric that the model was scored by; errors are negated.")
    baseline: float = pydantic.Field(description="The score with nothing shuffled.")
    rows: int = pydantic.Field(description="How many held-out rows were used.")
    columns: list[Importance] = pydantic.Field(
        max_length=curves.MAX_FEATURES, description="The columns, the most important first."
    )
