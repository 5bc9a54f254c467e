"""The kinds of jobs that this package adds, as plain data."""

import pydantic

from shared import contract, plugins


class CountValues(contract.Command):
    """Count how often each value of a column occurs."""

    dataset: contract.DatasetRef
    column: str = pydantic.Field(min_length=1, max_length=1000, description="The column to look at.")
    most: int = pydantic.Field(default=10, ge=1, le=1000, description="How many values to give, the commonest first.")


class CountedValues(contract.Result):
    """How often each value occurs."""

    counts: dict[str, int] = pydantic.Field(description="Rows by value, the commonest first.")


COUNT_VALUES = plugins.JobKind(
    kind=contract.Kind(
        name="evaluation.count_values",
        command=CountValues,
        result=CountedValues,
        description="Count how often each value of a column occurs.",
    ),
    body="millrace_example.count_values:count_values",
)
