"""One model for each value of a column: what the parent finds out, and what its children do.

A segment is the rows with one value. docs/decisions/models.md, "One model a value is a parent with a child for each".
"""

from typing import Annotated, Literal

import pydantic

from shared import contract

MAX_SEGMENTS = 100
MAX_BASE_NAME = 40
"""The most characters of the model's name, so that a value fits behind it."""
MAX_LISTED = 100
TYPES = frozenset({"string", "boolean", "integer"})
Value = Annotated[
    bool | int | Annotated[str, pydantic.StringConstraints(max_length=10_000)],
    pydantic.Field(description="A value of the column `per`, in the column's own type."),
]
Verdict = Literal["own", "common", "unclear"]
_VERDICT = (
    "`own` when the value's own model is better by more than the spread of the differences over the folds, `common` "
    "when the model for all is, else `unclear`."
)


class Segment(contract.Document):
    """A value that gets a model of its own."""

    value: Value
    name: contract.Name = pydantic.Field(description="The model's name.")
    rows: int = pydantic.Field(description="How many rows with a target have this value.")


class LeftValue(contract.Document):
    """A value without a model of its own, whose rows are left to the model for all."""

    value: Value
    rows: int = pydantic.Field(description="How many rows with a target have this value.")
    reason: str = pydantic.Field(description="Why it gets no model.")


class Segmentation(contract.Document):
    """Which values get a model of their own, settled once from the data."""

    column: str = pydantic.Field(description="The column.")
    segments: list[Segment] = pydantic.Field(description="The values that get a model, those with most rows first.")
    left: list[LeftValue] = pydantic.Field(description=f"The values that get none; the first {MAX_LISTED}.")
    notes: list[str] = pydantic.Field(description="What was decided automatically, each in a sentence.")


class SegmentScores(contract.Document):
    """How a model does on one value's rows in the folds that the model for all was validated on."""

    value: Value
    rows: list[int] = pydantic.Field(description="How many held-out rows of each fold have the value.")
    metrics: dict[str, list[float | None]] = pydantic.Field(
        description="Each metric on these rows of each fold; null where it is undefined."
    )


class ComparedFold(contract.Document):
    """Both models on the same held-out rows of one fold."""

    rows: int = pydantic.Field(description="How many rows.")
    own: float | None = pydantic.Field(description="The metric of the value's own model; null where it is undefined.")
    common: float | None = pydantic.Field(description="The metric of the model for all; null where it is undefined.")


class Comparison(contract.Document):
    """A value's own model beside the one for all, on the same rows, of which neither has seen any."""

    metric: str = pydantic.Field(description="The metric that decides.")
    own: dict[str, float] = pydantic.Field(description="Each metric's mean over the folds where both models have it.")
    common: dict[str, float] = pydantic.Field(description="The same of the model for all.")
    rows: int = pydantic.Field(description="How many held-out rows both were scored on.")
    difference: float | None = pydantic.Field(
        description="By how much the own model is better, in the deciding metric, as a mean over the folds; below 0 "
        "when it is worse."
    )
    spread: float | None = pydantic.Field(
        description="The standard deviation of this difference over the folds (sample); null with fewer than two."
    )
    folds: list[ComparedFold] = pydantic.Field(description="The deciding metric, fold by fold.")
    verdict: Verdict = pydantic.Field(description=_VERDICT)
    reason: str = pydantic.Field(description="The verdict in a sentence.")


class Overall(contract.Document):
    """All values' own models beside the one for all, each value counting by its held-out rows."""

    own: float | None = pydantic.Field(description="The deciding metric, each value predicted by its own model.")
    common: float | None = pydantic.Field(description="The deciding metric, all predicted by the model for all.")
    difference: float | None = pydantic.Field(
        description="By how much own models are better, as a mean over the folds."
    )
    spread: float | None = pydantic.Field(description="The standard deviation of this difference over the folds.")
    rows: int = pydantic.Field(description="How many held-out rows.")
    verdict: Verdict = pydantic.Field(description=_VERDICT)
    reason: str = pydantic.Field(description="The verdict in a sentence.")


class ValueModel(contract.Document):
    """What became of one value."""

    value: Value
    rows: int = pydantic.Field(description="How many rows with a target have this value.")
    state: Literal["trained", "failed", "left"] = pydantic.Field(
        description="`left` to the model for all from the start, as the reason says; what `failed` is left to it too."
    )
    model: str | None = pydantic.Field(description="The value's own model, as `name@version`.")
    job: str | None = pydantic.Field(description="The job that trained it.")
    reason: str | None = pydantic.Field(description="Why there is no model.")
    metrics: dict[str, float] = pydantic.Field(
        description="The means of the version's own metrics, from folds of the value's rows alone: those of a training "
        "with `where` for this value."
    )
    comparison: Comparison | None = pydantic.Field(description="Beside the model for all, on the same rows.")


class Switch(contract.Document):
    """Which model answers for which value, as a deployment takes it."""

    column: str = pydantic.Field(description="The column whose value chooses the model.")
    models: dict[str, str] = pydantic.Field(
        description="The model of each value, as `name@version`; true and false are written like this."
    )
    default: str = pydantic.Field(description="The model of all other values, and of rows without one.")


class PerValue(contract.Document):
    """One model for each value of a column, compared with the one for all."""

    column: str = pydantic.Field(description="The column.")
    metric: str = pydantic.Field(description="The metric that decides.")
    values: list[ValueModel] = pydantic.Field(description="The values, those with most rows first.")
    overall: Overall | None = pydantic.Field(description="All values together; null when none has a model.")
    switch: Switch = pydantic.Field(description="Every value that has a model of its own, with that model.")
    recommended: Switch = pydantic.Field(description="Only the values whose own model is better: verdict `own`.")
